"""When code counts as changed, and which code stands behind a result."""

import grimp
import pytest

from pdm.data import code
from pdm.data.code import code_version, modules_behind

SOURCE = '''
"""What it is for."""

SCALE = 2.0  # of everything


class Scaler:
    """Scales."""

    async def scale(self, values):
        """Values times `SCALE`."""
        return [value * SCALE for value in values]
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Writes modules of a package `worked_example`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "worked_example"

    def write(**sources):
        for name, source in ({"__init__": ""} | sources).items():
            path = folder / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)

    return write


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # of everything", ""),
        ("# of everything", "# of all that comes in"),
        ('"""What it is for."""', '"""What it does, in other words."""'),
        ('"""Scales."""', '"""Scales its input."""'),
        ('        """Values times `SCALE`."""\n', ""),
        ("\n\n\nclass", "\n\nclass"),
        (
            "[value * SCALE for value in values]",
            "[\n            value * SCALE for value in values]",
        ),
        ("SCALE = 2.0", "SCALE = (2.0)"),
    ],
)
def test_comments_docstrings_and_layout_change_no_version(package, old, new):
    package(scaling=SOURCE)
    before = code_version(["worked_example.scaling"])
    assert old in SOURCE
    package(scaling=SOURCE.replace(old, new))
    assert code_version(["worked_example.scaling"]) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SCALE = 2.0", "SCALE = 2.5"),
        ("SCALE = 2.0", "SCALE = 2"),
        ("value * SCALE for", "value + SCALE for"),
        ("async def", "def"),
        ("        return", '        "a string that is no docstring"\n        return'),
    ],
)
def test_any_other_change_is_another_version(package, old, new):
    package(scaling=SOURCE)
    before = code_version(["worked_example.scaling"])
    assert old in SOURCE
    package(scaling=SOURCE.replace(old, new))
    assert code_version(["worked_example.scaling"]) != before


def test_another_release_of_a_library_is_another_version(package, monkeypatch):
    package(scaling=SOURCE)
    before = code_version(["worked_example.scaling"])
    monkeypatch.setattr(code, "version", lambda name: "0.0")
    assert code_version(["worked_example.scaling"]) != before


def test_the_name_of_a_module_is_part_of_the_version(package):
    package(one=SOURCE, other=SOURCE)
    assert code_version(["worked_example.one"]) != code_version(["worked_example.other"])


def test_imports_are_followed_wherever_they_stand_and_however_they_are_written(package):
    package(
        top="import os\nimport worked_example.plain\n\ndef late():\n    from . import relative\n",
        plain="from worked_example.inner import name, leaf\n",
        relative="from .inner.other import value\n",
        inner__in____init__="",
        inner__in__leaf="import numpy\n",
        inner__in__other="from ..plain import name\nvalue = 1\n",
        unused="",
    )
    found = modules_behind("worked_example.top")
    assert [name.removeprefix("worked_example") for name in found] == [
        ".inner",
        ".inner.leaf",
        ".inner.other",
        ".plain",
        ".relative",
        ".top",
    ]
    assert modules_behind("worked_example.top", leave_out=["worked_example.relative"]) == [
        name for name in found if not name.endswith((".relative", ".other"))
    ]


@pytest.mark.parametrize("root", ["pdm.evaluation.stream", "pdm.curation.curate.judge"])
def test_imports_are_those_that_grimp_finds(root):
    upstream = grimp.build_graph("pdm", cache_dir=None).find_upstream_modules(root)
    assert set(modules_behind(root)) == upstream | {root}
