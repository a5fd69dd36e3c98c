"""Raw shards: `00000.tar` and `00000.parquet`, and so on, and `summary.json`. Equal outcomes and
equal bytes give equal files.

An image's shard follows from its key. A tar has the unchanged bytes of the shard's images, a
parquet one row for each of its entries, both in key order.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from pdm.curation.scrape.entries import Entry, Outcome, dropped, failed
from pdm.curation.scrape.formats import NUM_BYTES, extension_of
from pdm.curation.scrape.summary import Summary
from pdm.data.parquet import write_table
from pdm.data.shards.tars import members, read_at, write_tar
from pdm.files import write_json

SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("url", pa.string()),
        ("source", pa.string()),
        ("caption", pa.string()),
        ("licence", pa.string()),
        ("author", pa.string()),
        ("class_name", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("error_message", pa.string()),
        ("retrieved_at", pa.string()),
        ("final_url", pa.string()),
        ("sha256", pa.string()),
        ("num_bytes", pa.int64()),
        ("member", pa.string()),
        ("offset", pa.int64()),
        ("size", pa.int64()),
    ]
)
# Each only in the table of a shard in which a picture has several captions, or boxes.
OPTIONAL = (pa.field("captions", pa.list_(pa.string())), pa.field("boxes", pa.string()))
MIB = 2**20


@dataclass(slots=True)
class Row:
    """A row of the parquet; its fields are the columns of `SCHEMA`, and of `OPTIONAL`."""

    key: str
    url: str
    source: str
    caption: str | None
    licence: str | None
    author: str | None
    class_name: str | None
    status: str
    reason: str | None
    error_message: str | None
    retrieved_at: str | None
    final_url: str | None
    sha256: str | None = None
    num_bytes: int | None = None
    member: str | None = None
    offset: int | None = None
    size: int | None = None
    captions: tuple[str, ...] | None = None  # all of them, of an entry that has several
    boxes: str | None = None  # JSON


def write_shards(
    folder: Path,
    entries: Mapping[str, tuple[Entry, Outcome]],
    num_shards: int,
    max_image_mib: float,
    removed: Callable[[str, str | None], bool] = lambda key, sha256: False,
    boxes_left_out: Mapping[str, int] | None = None,
) -> Summary:
    """Write every shard. One image at a time is in memory.

    Args:
        folder: Empty.
        entries: By key.
        num_shards: Number of shards.
        max_image_mib: Larger files are dropped.
        removed: Whether a picture must not be used, given its key and its sha256.
        boxes_left_out: Boxes of the sources that no picture gets, by reason.

    Returns:
        The content of `summary.json`.
    """
    shards: list[list[str]] = [[] for _ in range(num_shards)]
    for key in sorted(entries):
        shards[shard_of(key, num_shards)].append(key)
    summary = Summary(boxes_left_out=dict(boxes_left_out or {}))
    for number, keys in enumerate(shards):
        of_shard = {key: entries[key] for key in keys}
        summary.add(_write_shard(folder, number, of_shard, max_image_mib, removed))
    write_json(folder / "summary.json", summary.as_json())
    return summary


def shard_of(key: str, num_shards: int) -> int:
    """Number of a key's shard. Keys are hashes, so a new image changes one shard only."""
    return int(key, 16) % num_shards


def _write_shard(
    folder: Path,
    number: int,
    entries: Mapping[str, tuple[Entry, Outcome]],
    max_image_mib: float,
    removed: Callable[[str, str | None], bool],
) -> list[Row]:
    rows = {key: _row(key, entry, outcome) for key, (entry, outcome) in entries.items()}
    tar = folder / f"{number:05}.tar"

    def samples() -> Iterator[tuple[str, dict[str, bytes]]]:
        for key, (_, outcome) in entries.items():
            content = _read_content(outcome, rows[key], max_image_mib)
            if content is not None and removed(key, rows[key].sha256):
                message = "its content is in the list of removals"
                _set_outcome(rows[key], dropped("removed", message))
            elif content is not None:
                yield key, {extension_of(content[:NUM_BYTES]): content}

    write_tar(tar, samples())
    for member in members(tar):
        row = rows[member.name.partition(".")[0]]
        row.member, row.offset, row.size = member.name, member.offset, member.size
    schema = SCHEMA
    for field in OPTIONAL:
        if any(getattr(row, field.name) for row in rows.values()):
            schema = schema.append(field)
    table = pa.Table.from_pylist([asdict(row) for row in rows.values()], schema=schema)
    write_table(table, folder / f"{number:05}.parquet")
    return list(rows.values())


def _row(key: str, entry: Entry, outcome: Outcome) -> Row:
    return Row(
        key,
        entry.url,
        entry.source,
        entry.caption,
        entry.licence,
        entry.author,
        entry.class_name,
        outcome.status,
        outcome.reason,
        outcome.error_message,
        outcome.retrieved_at,
        outcome.final_url,
        captions=entry.captions if len(entry.captions) > 1 else None,
        boxes=entry.boxes,
    )


def _read_content(outcome: Outcome, row: Row, max_image_mib: float) -> bytes | None:
    """The bytes of an entry that is ok, or None. Completes its row, or changes its outcome."""
    place = outcome.content
    if place is None:
        return None
    row.num_bytes = place.size
    if place.size > max_image_mib * MIB:
        message = f"{place.size:,} bytes, the limit is {max_image_mib:g} MiB"
        _set_outcome(row, dropped("too_large", message))
        return None
    try:
        content = read_at(place.path, place.offset, place.size)
    except OSError as error:
        _set_outcome(row, failed("unreadable_file", str(error.strerror)))
        return None
    row.num_bytes = len(content)
    row.sha256 = hashlib.sha256(content).hexdigest()
    if outcome.sha256 not in (None, row.sha256):
        _set_outcome(row, failed("damaged", f"its sha256 was {outcome.sha256} when it was fetched"))
        return None
    return content


def _set_outcome(row: Row, outcome: Outcome) -> None:
    row.status, row.reason, row.error_message = (
        outcome.status,
        outcome.reason,
        outcome.error_message,
    )
