"""Templates of self-contained HTML pages."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template


def page_template(file: Path, **filters: Callable[..., Any]) -> Template:
    """Load a template of Jinja that escapes all values, since many come from outside.

    Args:
        file: The template. A name that it does not define is an error when it is rendered.
        filters: Functions that the template calls on values, by name.
    """
    environment = Environment(
        loader=FileSystemLoader(file.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(file.name)
