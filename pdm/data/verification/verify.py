"""Re-reads finished data and lists all damage: `pyramid data verify`.

A folder with a `manifest.json` is checked against it (`image_shards`, `latent_shards`), one with
`.parquet` tables against those (`raw_shards`), and DVC's cache against the names in it
(`dvc_cache`). All files are read sequentially once or twice, one
member at a time; only the keys so far are in memory. Pictures are decoded only in shards whose
sha256 has changed; of others, only headers are.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from pdm.counts import counted
from pdm.data.shards import listing, locations, manifest
from pdm.data.verification.damage import Findings
from pdm.data.verification.dvc_cache import check_cache, is_cache
from pdm.data.verification.image_shards import check_pictures
from pdm.data.verification.latent_shards import check_latents
from pdm.data.verification.raw_shards import check_raw
from pdm.errors import BadInput, QualityGate
from pdm.files import sha256_of
from pdm.progress import Progress

logger = logging.getLogger(__name__)

DEFAULT_FOLDERS = (Path("data/raw"), Path("data/shards"), Path("data/latents"))
MAX_LINES = 1000  # of damage that are logged; the last line has the number of all


def verify(folders: Sequence[Path]) -> str:
    """Check folders of raw tars, shards or latents, or DVC's cache or remote, and log each damage
    in a line.

    Args:
        folders: If empty, those of `DEFAULT_FOLDERS` that exist.

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
        findings, unit = _check(folder)
        for warning in findings.warnings:
            logger.warning("warning: %s", warning)
        for damage in findings.damages[:MAX_LINES]:
            logger.error("damaged: %s", damage)
        num_damages += len(findings.damages)
        num_files += len({damage.file for damage in findings.damages})
        size = f"{findings.num_bytes / 2**20:,.1f} MiB"
        shards = f" in {counted(findings.num_shards, 'shard')}" if findings.num_shards else ""
        parts.append(f"{findings.num_samples:,} {unit}{shards}, {size}")
    if num_damages:
        faults, files = counted(num_damages, "fault"), counted(num_files, "file")
        raise QualityGate(f"{faults} in {files}; each is listed above with its remedy")
    return f"verified {'; '.join(parts)}"


def _check(folder: Path) -> tuple[Findings, str]:
    """The findings, and the word for the folder's samples."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder} is not a folder; name one with raw data, shards or latents, or DVC's cache"
        )
    if (folder / manifest.FILE_NAME).exists():
        return _check_listed(folder)
    if any(folder.glob("*.parquet")) and any(folder.glob("[0-9]*.*")):
        return check_raw(folder), "raw images"
    if is_cache(folder):
        return check_cache(folder), "files of DVC's cache"
    raise BadInput(
        f"{folder} has no {manifest.FILE_NAME}, so it is unknown which files belong to the data; "
        "run the stage that writes it again"
    )


def _check_listed(folder: Path) -> tuple[Findings, str]:
    listed = manifest.read(folder)
    is_latents = "level_shapes" in listed.facts
    stage = "latents" if is_latents else "shard"
    findings = Findings()
    intact: dict[str, bool] = {}
    shards = [shard for split in listed.splits.values() for shard in split]
    progress = Progress(f"verify {folder}", sum(shard.num_samples for shard in shards))
    for shard in shards:
        file = folder / shard.name
        fault = manifest.size_fault(file, shard.num_bytes)
        if fault is None and sha256_of(file) != shard.sha256:
            fault = "its sha256 is not the manifest's: bytes in it have changed"
        if fault is not None:
            findings.add(file, fault, stage)
        if shard.name in intact:
            findings.add(file, "the manifest names it twice", stage)
        intact[shard.name] = fault is None
        findings.num_shards += 1
        findings.num_samples += shard.num_samples
        findings.num_bytes += shard.num_bytes
        progress.advance(shard.num_samples)
    _check_listing(folder, listed, findings)
    known = {manifest.FILE_NAME, listing.FILE_NAME, "README.md", "croissant.json", *intact}
    known.add(locations.FILE_NAME)
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            findings.warnings.append(
                f"{path} is not in the manifest; it belongs to no version and is ignored"
            )
    (check_latents if is_latents else check_pictures)(folder, listed, intact, findings)
    return findings, "latents" if is_latents else "images"


def _check_listing(folder: Path, listed: manifest.Manifest, findings: Findings) -> None:
    """Check the list of pictures, on which takedowns rely."""
    stated = listed.facts.get("pictures_sha256")
    file = folder / listing.FILE_NAME
    if stated and not file.is_file():
        findings.add(file, "is missing, although the manifest has its sha256", "shard")
    elif stated and sha256_of(file) != stated:
        findings.add(file, "its sha256 is not the manifest's: bytes in it have changed", "shard")
