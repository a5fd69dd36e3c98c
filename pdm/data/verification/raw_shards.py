"""Checks raw tars against their tables: every fetched file must be in place, with its sha256."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pdm.data.shards.tar_headers import BadHeader, scan
from pdm.data.shards.tars import Member
from pdm.data.verification.damage import Findings
from pdm.progress import Progress

STAGE = "scrape"
COLUMNS = ["key", "status", "sha256", "member", "offset", "size"]
CHUNK = 2**20  # bytes
ROWS_AT_ONCE = 4096


def check_raw(folder: Path) -> Findings:
    """Check every `NNNNN.tar` and `NNNNN.parquet` of a folder that `scrape` wrote."""
    findings = Findings()
    table_of: dict[str, str] = {}
    stems = sorted({path.stem for path in folder.glob("[0-9]*.*")})
    progress = Progress(f"verify {folder}", len(stems), "shards")
    for stem in stems:
        tar, table = folder / f"{stem}.tar", folder / f"{stem}.parquet"
        if tar.is_file() and table.is_file():
            _check_pair(tar, table, table_of, findings)
        else:
            missing, present = (table, tar) if tar.is_file() else (tar, table)
            findings.add(missing, f"missing beside {present.name}", STAGE)
        progress.advance()
    return findings


def _check_pair(tar: Path, table: Path, table_of: dict[str, str], findings: Findings) -> None:
    findings.num_shards += 1
    findings.num_bytes += tar.stat().st_size
    members: dict[str, Member] = {}
    for entry in scan(tar, tar.stat().st_size):
        if isinstance(entry, BadHeader):
            findings.add(tar, entry.fault, STAGE, entry.name)
        elif entry.name in members:
            findings.add(tar, "is twice in the tar", STAGE, entry.name)
        else:
            members[entry.name] = entry
    try:
        for row in _rows(table):
            if row["key"] in table_of:
                fault = f"its key is already in {table_of[row['key']]}"
                findings.add(table, fault, STAGE, row["key"])
            table_of.setdefault(row["key"], table.name)
            if row["status"] == "ok":
                findings.num_samples += 1
                _check_row(row, tar, members.pop(row["member"] or "", None), findings)
    except (pa.ArrowException, ValueError, KeyError, OSError) as error:
        if getattr(error, "errno", None) is not None:  # an error of the disk
            raise
        findings.add(table, f"cannot be read ({error})", STAGE)
        return
    for name in members:
        findings.add(tar, f"is in no row of {table.name}", STAGE, name)


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(table, page_checksum_verification=True) as file:
        for batch in file.iter_batches(ROWS_AT_ONCE):  # all columns, for their checksums
            yield from batch.select(COLUMNS).to_pylist()


def _check_row(row: dict[str, Any], tar: Path, member: Member | None, findings: Findings) -> None:
    place = row["offset"], row["size"]
    name = row["member"] or row["key"]
    if None in place or min(place) < 0:
        findings.add(tar, "its row has no offset and size", STAGE, name)
    elif member is not None and (member.offset, member.size) != place:
        where = f"{member.size:,} bytes at {member.offset:,}"
        findings.add(tar, f"is {where}, its row says {place[1]:,} at {place[0]:,}", STAGE, name)
    elif _sha256_at(tar, *place) != row["sha256"]:
        findings.add(tar, "its sha256 is not that of the bytes that were fetched", STAGE, name)
    elif member is None:
        findings.add(tar, "has no intact header in the tar", STAGE, name)


def _sha256_at(path: Path, offset: int, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(offset)
        while size > 0 and (chunk := file.read(min(CHUNK, size))):
            digest.update(chunk)
            size -= len(chunk)
    return digest.hexdigest()
