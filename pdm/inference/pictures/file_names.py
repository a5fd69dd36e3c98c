"""Names of the files of drawn images: what they show, and a number where another has the name."""

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pdm.data import provenance
from pdm.errors import BadInput

MAX_NAME, MAX_BYTES = 60, 160  # characters and bytes of a prompt in a file's name


def choose_path(folder: Path, name: str, facts: dict[str, Any], taken: Sequence[Path]) -> Path:
    """Name an image's file, with a number at the end if another image has that name: one of
    this call, or a file in the folder with other facts.

    Args:
        folder: Of the file.
        name: With its ending.
        facts: Its provenance; a file with the same one is the same image.
        taken: Files of this call.
    """
    stem, ending = Path(name).stem, Path(name).suffix
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    paths = (folder / f"{name}{ending}" for name in names)
    return next(
        path for path in paths if path not in taken and (not path.exists() or is_drawn(path, facts))
    )


def is_drawn(path: Path, facts: dict[str, Any]) -> bool:
    """Tell whether a file is there and has this provenance, so that it need not be drawn again."""
    if not path.exists():
        return False
    try:
        found = provenance.read_facts(path)
    except BadInput:
        return False
    return bool(found == json.loads(json.dumps(facts)))


def words_of(origin: dict[str, Any]) -> str:
    """Return a file's name for what an image shows: words of its prompt, its class, the classes of
    its boxes, or "picture"."""
    boxes = origin.get("layout", {}).get("boxes", ())
    things = " ".join(dict.fromkeys(box["class"] for box in boxes))
    text = str(origin.get("prompt") or origin.get("class") or things)
    words = re.sub(r"[^\w]+", "-", text.lower()).strip("-")[:MAX_NAME]
    words = words.encode()[:MAX_BYTES].decode(errors="ignore").rstrip("-")
    return words or "picture"
