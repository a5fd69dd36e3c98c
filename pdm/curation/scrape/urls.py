"""URL lists: txt (one URL a line), csv or parquet. A list is untrusted input.

No URL is opened here. Hosts are resolved, to drop those that lie on this machine or in its private
networks. That is a first check, not a guarantee: a host may answer otherwise when it is fetched, or
redirect into a private network. What guards the fetch itself belongs into a forward proxy, which
`pdm.curation.scrape.fetch` can be pointed to through its environment.
"""

import csv
import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from pdm.config.scrape import UrlListSource
from pdm.curation.scrape.addresses import blocked_reason
from pdm.curation.scrape.entries import Entry, Outcome, dropped, failed
from pdm.errors import BadInput

MAX_CAPTION_CHARACTERS = 8192
MAX_URL_CHARACTERS = 4096
_RESOLVER_THREADS = 16
_UNSAFE = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")


def entries(source: UrlListSource) -> list[Entry]:
    """One entry per row, in the list's order; those that must not be fetched have their outcome.

    Raises:
        BadInput: The file is missing, damaged or holds no rows, or a named column is absent.
    """
    path = Path(source.path)
    if not path.is_file():
        raise BadInput(f"{path}: no such URL list; mend scrape.sources in params.yaml")
    name = f"urls:{path.name}"
    try:
        listed = [_entry(row, name) for row in _rows(source, path)]
    except (csv.Error, pa.ArrowException) as error:
        raise BadInput(f"{path} cannot be read as {path.suffix[1:]} ({error})") from error
    if not listed:
        raise BadInput(f"{path} names no URL; add some, or take it out of scrape.sources")
    return listed if source.allow_private_addresses else _without_private(listed)


def _rows(source: UrlListSource, path: Path) -> Iterator[dict[str, str | None]]:
    """Rows as url, caption, licence."""
    if path.suffix == ".txt":
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            if line.strip():
                yield {"url": line.strip()}
        return
    wanted = {
        "url": source.url_column,
        "caption": source.caption_column,
        "licence": source.licence_column,
    }
    columns = {field: column for field, column in wanted.items() if column is not None}
    read = _csv_rows if path.suffix == ".csv" else _parquet_rows
    for row in read(path, list(columns.values())):
        yield {field: _text(row.get(column)) for field, column in columns.items()}


def _csv_rows(path: Path, columns: list[str]) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        _require_columns(path, columns, list(reader.fieldnames or []))
        yield from reader


def _parquet_rows(path: Path, columns: list[str]) -> Iterator[Mapping[str, Any]]:
    with pq.ParquetFile(path) as file:
        _require_columns(path, columns, file.schema_arrow.names)
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()


def _require_columns(path: Path, columns: list[str], present: list[str]) -> None:
    for column in columns:
        count = present.count(column)
        if count != 1:
            state = "no column" if not count else f"{count} columns"
            there = ", ".join(repr(name) for name in present) or "none"
            raise BadInput(f"{path}: {state} named '{column}'; its columns are {there}")


def _text(value: object) -> str | None:
    """A cell as clean text, of any type that a table may hold."""
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "").strip()
    return text or None


def _entry(row: Mapping[str, str | None], source: str) -> Entry:
    url = row["url"] or ""
    caption = row.get("caption")
    found = Entry(
        identity=url,
        url=url,
        source=source,
        caption=caption and caption[:MAX_CAPTION_CHARACTERS],
        licence=row.get("licence"),
    )
    try:
        return replace(found, fetch_url=_fetchable(url))
    except (ValueError, UnicodeError) as error:
        shown = _without_credentials(url)
        fault = dropped("bad_url", str(error))
        return replace(found, identity=url, url=shown, outcome=fault)


def _fetchable(url: str) -> str:
    """The URL as it goes over the wire: ASCII, percent-encoded, host in IDNA.

    Raises:
        ValueError: It must not be fetched; the text says why.
    """
    if not url:
        raise ValueError("no URL in this row")
    if len(url) > MAX_URL_CHARACTERS:
        raise ValueError(f"longer than {MAX_URL_CHARACTERS:,} characters")
    parts = urlsplit(url)
    if parts.scheme.lower() not in ("http", "https"):
        raise ValueError(f"scheme '{parts.scheme[:20]}' is not http or https")
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds a user name or password")
    if not parts.hostname:
        raise ValueError("names no host")
    if _UNSAFE.search(parts.netloc):
        raise ValueError("host holds a character that no host may")
    return _encoded(parts)


def _encoded(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    elif not host.isascii():
        host = host.encode("idna").decode("ascii")
    place = host if parts.port is None else f"{host}:{parts.port}"
    # `%` stays: what is already encoded must not be encoded twice.
    path = quote(parts.path, safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]")
    return parts._replace(netloc=place, path=path, query=query, fragment="").geturl()


def _without_credentials(url: str) -> str:
    """What may be written down: secrets in URLs end up in reports otherwise."""
    return re.sub(r"//[^/@]*@", "//", url)[:MAX_URL_CHARACTERS]


def _without_private(listed: list[Entry]) -> list[Entry]:
    """Settle the entries whose host lies in a private network or has no address."""
    open_entries = [entry for entry in listed if entry.outcome is None]
    hosts = sorted({_host(entry) for entry in open_entries})
    with ThreadPoolExecutor(_RESOLVER_THREADS) as pool:
        verdicts = dict(zip(hosts, pool.map(_verdict, hosts), strict=True))
    return [
        entry if entry.outcome is not None else replace(entry, outcome=verdicts[_host(entry)])
        for entry in listed
    ]


def _host(entry: Entry) -> str:
    return urlsplit(entry.fetch_url or "").hostname or ""


def _verdict(host: str) -> Outcome | None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return failed("dns", f"{host}: {error}")
    for *_, address in found:
        reason = blocked_reason(str(address[0]))
        if reason:
            return dropped("blocked_address", f"{host} is {address[0]}: {reason}")
    return None
