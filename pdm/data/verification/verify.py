"""Re-reads finished data and lists all damage: `pyramid data verify`.

A folder with a `manifest.json` is checked against it (shards of pictures: `verify_shards`; latents:
`verify_latents`), one with `.parquet` tables against those (`verify_raw`). Everything is read once
or twice from front to back, one member at a time; only the keys seen so far stay in memory. Nothing
is decoded beyond headers, unless a shard's sha256 says that something in it has changed.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from pdm.data.shards import listing, manifest
from pdm.data.verification.damage import Findings
from pdm.data.verification.image_shards import check_pictures
from pdm.data.verification.latent_shards import check_latents
from pdm.data.verification.raw_shards import check_raw
from pdm.errors import BadInput, QualityGate
from pdm.files import sha256_of
from pdm.progress import Progress

logger = logging.getLogger(__name__)

DEFAULT_FOLDERS = (Path("data/raw"), Path("data/shards"), Path("data/latents"))
MAX_LINES = 1000  # of damage that are logged; the last line counts all


def verify(folders: Sequence[Path]) -> str:
    """Check whole folders of raw tars, shards or latents; all damage is logged, a line for each.

    Args:
        folders: Empty means those of `DEFAULT_FOLDERS` that exist.

    Returns:
        A sentence such as "verified 112 pictures in 5 shards, 97.0 MiB".

    Raises:
        BadInput: There is nothing to check, or a folder has no manifest.
        QualityGate: Something is damaged.
    """
    chosen = list(folders) or [folder for folder in DEFAULT_FOLDERS if folder.is_dir()]
    if not chosen:
        raise BadInput(
            "there is no data yet (data/raw, data/shards, data/latents); run `pyramid run`"
        )
    parts, num_damages, num_files = [], 0, 0
    for folder in chosen:
        found, unit = _check(folder)
        for warning in found.warnings:
            logger.warning("warning: %s", warning)
        for damage in found.damages[:MAX_LINES]:
            logger.error("damaged: %s", damage)
        num_damages += len(found.damages)
        num_files += len({damage.file for damage in found.damages})
        size = f"{found.num_bytes / 2**20:,.1f} MiB"
        parts.append(f"{found.num_samples:,} {unit} in {found.num_shards:,} shards, {size}")
    if num_damages:
        faults = "1 fault" if num_damages == 1 else f"{num_damages:,} faults"
        files = "1 file" if num_files == 1 else f"{num_files:,} files"
        raise QualityGate(f"{faults} in {files}; each is listed above with the stage to run")
    return f"verified {'; '.join(parts)}"


def _check(folder: Path) -> tuple[Findings, str]:
    """Findings, and what a sample of the folder is called."""
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder; name one that holds raw data, shards or latents")
    if (folder / manifest.FILE_NAME).exists():
        return _check_listed(folder)
    if any(folder.glob("*.parquet")) and any(folder.glob("[0-9]*.*")):
        return check_raw(folder), "raw pictures"
    raise BadInput(
        f"{folder} has no {manifest.FILE_NAME}; run the stage that writes it again. What "
        "belongs to the data is never guessed from the files that are there"
    )


def _check_listed(folder: Path) -> tuple[Findings, str]:
    listed = manifest.read(folder)
    is_latents = "level_shapes" in listed.facts
    stage = "latents" if is_latents else "shard"
    found = Findings()
    intact: dict[str, bool] = {}
    shards = [shard for split in listed.splits.values() for shard in split]
    progress = Progress(f"verify {folder}", sum(shard.num_samples for shard in shards))
    for shard in shards:
        file = folder / shard.name
        fault = manifest.size_fault(file, shard.num_bytes)
        if fault is None and sha256_of(file) != shard.sha256:
            fault = "its sha256 is not the manifest's: bytes in it have changed"
        if fault is not None:
            found.add(file, fault, stage)
        if shard.name in intact:
            found.add(file, "the manifest names it twice", stage)
        intact[shard.name] = fault is None
        found.num_shards += 1
        found.num_samples += shard.num_samples
        found.num_bytes += shard.num_bytes
        progress.advance(shard.num_samples)
    _check_listing(folder, listed, found)
    known = {manifest.FILE_NAME, listing.FILE_NAME, "README.md", "croissant.json", *intact}
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            found.warnings.append(
                f"{path} is not in the manifest; it belongs to no version and is ignored"
            )
    (check_latents if is_latents else check_pictures)(folder, listed, intact, found)
    return found, "latents" if is_latents else "pictures"


def _check_listing(folder: Path, listed: manifest.Manifest, found: Findings) -> None:
    """Takedowns trust the list of pictures."""
    stated = listed.facts.get("pictures_sha256")
    file = folder / listing.FILE_NAME
    if stated and not file.is_file():
        found.add(file, "is missing, the manifest speaks of it", "shard")
    elif stated and sha256_of(file) != stated:
        found.add(file, "its sha256 is not the manifest's: bytes in it have changed", "shard")
