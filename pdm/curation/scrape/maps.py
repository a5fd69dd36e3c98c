"""Segmentation maps beside the raw shards: `maps/KEY.png`, unchanged, and `maps/classes.txt`.

They are local files, of folder sources and of built-in landscapes; nothing is fetched. The stage
`shard` decodes and crops them with their pictures.
"""

import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pdm.config.stages.scrape import BuiltinSource, FolderSource, UrlListSource
from pdm.counts import counted
from pdm.curation.scrape.drawing.kinds import KINDS
from pdm.curation.scrape.entries import Entry, Outcome
from pdm.data.annotations.maps import NAMES_FILE, read_names
from pdm.errors import BadInput
from pdm.files import write_text

logger = logging.getLogger(__name__)

FOLDER = "maps"  # within the raw shards


def names_of_sources(
    sources: Iterable[BuiltinSource | FolderSource | UrlListSource],
) -> tuple[str, ...]:
    """Return the names of the classes of all sources' maps; empty if no source has maps.

    Raises:
        BadInput: A folder of maps lacks its names, or two sources name other classes.
    """
    found: dict[str, tuple[str, ...]] = {}
    for source in sources:
        if isinstance(source, BuiltinSource) and source.maps:
            found["builtin"] = KINDS
        elif isinstance(source, FolderSource) and source.maps is not None:
            found[source.maps] = read_names(Path(source.maps))
    if len(set(found.values())) > 1:
        listed = "; ".join(f"{name}: {', '.join(names)}" for name, names in found.items())
        raise BadInput(f"scrape.sources: the maps of all sources need the same classes ({listed})")
    return next(iter(found.values()), ())


def map_of(picture: Path, root: Path, maps: str | None) -> Path | None:
    """Return the map of a picture of a folder source, if there is one: the same path, as a PNG."""
    if maps is None:
        return None
    path = Path(maps) / picture.relative_to(root).with_suffix(".png")
    return path if path.is_file() else None


def copy_maps(
    folder: Path, entries: Mapping[str, tuple[Entry, Outcome]], names: tuple[str, ...]
) -> None:
    """Copy the maps of all pictures that are there, and write the names."""
    if not names:
        return
    (folder / FOLDER).mkdir()
    num_pictures = num_maps = 0
    for key, (entry, outcome) in entries.items():
        if outcome.status != "ok":
            continue
        num_pictures += 1
        if entry.class_map is not None:
            shutil.copyfile(entry.class_map, folder / FOLDER / f"{key}.png")
            num_maps += 1
    write_text(folder / FOLDER / NAMES_FILE, "".join(f"{name}\n" for name in names))
    logger.info(
        "scrape: %s of %s with a map of %s",
        num_maps,
        counted(num_pictures, "image"),
        ", ".join(names),
    )
