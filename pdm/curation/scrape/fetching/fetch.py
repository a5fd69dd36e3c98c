"""Fetches URLs with img2dataset, a command in an environment of its own. Bytes stay unchanged.

img2dataset only moves bytes. By itself it would read local files, follow redirects anywhere, and
wait and read without limits, so it gets addresses of our own gateway instead of URLs
(`pdm.curation.scrape.guard`). The gateway fetches safely and records the result of each URL.
img2dataset's exit code is not reliable: afterwards, every URL is checked.
"""

import errno
import logging
import os
import re
import subprocess
import sys
import tarfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import chain, zip_longest
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pdm.config.stages.scrape import ScrapeConfig
from pdm.curation.scrape.entries import Content, Outcome, failed
from pdm.curation.scrape.fetching.img2dataset import (
    KEY_COLUMN,
    build_command,
    command_environment,
    proxy_variables,
    supervisor_arguments,
)
from pdm.curation.scrape.guard.addresses import any_address, public_only
from pdm.curation.scrape.guard.client import MAX_WAIT_SECONDS
from pdm.curation.scrape.guard.errors import FetchError
from pdm.curation.scrape.guard.fetcher import Fetched, Fetcher, Target
from pdm.curation.scrape.guard.gateway import Gateway, Result
from pdm.curation.scrape.guard.transport.urls import host_and_port
from pdm.errors import Unavailable
from pdm.progress import Progress

logger = logging.getLogger(__name__)

OnResult = Callable[[str, Result, Path], None]

_START_SECONDS = 90.0
_ERRNO = re.compile(r"\[Errno (\d+)\]")
_DISK_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


def fetch(
    targets: Mapping[str, Target],
    config: ScrapeConfig,
    folder: Path,
    on_result: OnResult = lambda key, result, path: None,
) -> dict[str, Outcome]:
    """Fetch every URL; one that fails does not stop the others.

    Args:
        targets: By key.
        config: The limits.
        folder: Empty; afterwards it has the contents of the outcomes.
        on_result: Called for every URL as soon as its result is known, by any thread; see
            `Gateway`.

    Returns:
        An outcome for every key.

    Raises:
        Unavailable: img2dataset is not installed or ended without fetching anything, or so many
            URLs in a row reached no server that the network seems to be down.
        OSError: The disk is full, also if only img2dataset noticed it.
        Exception: That of a target's `ready`.
    """
    if not targets:
        return {}
    _warn_about_proxies(targets)
    parts, bodies = folder / "parts", folder / "bodies"
    bodies.mkdir(parents=True)
    progress, lock = Progress("scrape: fetching", len(targets), "URLs"), threading.Lock()
    counted: set[str] = set()  # img2dataset asks twice for a shard that it could not write

    def count_result(key: str, result: Result, path: Path) -> None:
        on_result(key, result, path)
        with lock:
            if key not in counted:
                counted.add(key)
                progress.advance()

    fetcher = Fetcher(config)
    gateway = Gateway(fetcher, targets, bodies, count_result)
    with gateway.running():
        has_ended = _run(folder, interleave_hosts(targets), config, gateway, fetcher)
    if not gateway.results and has_ended:
        log = (folder / "img2dataset.log").read_text(encoding="utf-8", errors="replace")
        tail = " / ".join(log.splitlines()[-3:]) or "no message"
        raise Unavailable(f"img2dataset fetched nothing and ended with: {tail}")
    contents = _find_contents(parts)
    fetched = {key for key, result in gateway.results.items() if isinstance(result, Fetched)}
    if not fetched <= contents.keys() and (fault := disk_fault(folder / "img2dataset.log")):
        raise OSError(fault, os.strerror(fault), str(parts))
    return {key: _outcome(gateway.results.get(key), contents.get(key)) for key in targets}


def _warn_about_proxies(targets: Mapping[str, Target]) -> None:
    leaves_machine = any(target.rule in (public_only, any_address) for target in targets.values())
    if leaves_machine and (names := proxy_variables()):
        logger.warning(
            "scrape: %s set, but images are fetched directly: behind a proxy, addresses cannot "
            "be checked",
            f"{', '.join(names)} {'are' if len(names) > 1 else 'is'}",
        )


def interleave_hosts(targets: Mapping[str, Target]) -> list[str]:
    """Keys, hosts taking turns, so that a host of many pictures does not delay the others."""
    by_host: dict[str, list[str]] = defaultdict(list)
    for key, target in targets.items():
        by_host[host_and_port(target.url)[0]].append(key)
    return [key for key in chain.from_iterable(zip_longest(*by_host.values())) if key is not None]


def _run(
    folder: Path, keys: list[str], config: ScrapeConfig, gateway: Gateway, fetcher: Fetcher
) -> bool:
    """Run img2dataset on the gateway's addresses of the keys; True if it ended by itself."""
    urls_file = folder / "urls.parquet"
    urls = [gateway.url_of(key) for key in keys]
    pq.write_table(pa.table({"url": urls, KEY_COLUMN: keys}), urls_file)
    words = build_command(urls_file, folder / "parts", config, len(keys))
    with (folder / "img2dataset.log").open("wb") as output:
        # In a process group of its own: ctrl-C reaches only us, and we terminate it.
        process = subprocess.Popen(
            [sys.executable, "-I", *supervisor_arguments(words)],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=command_environment(),
            start_new_session=True,
        )
        try:
            _wait(process, gateway, fetcher, _stall_seconds(config))
            return process.poll() is not None
        finally:
            process.terminate()
            process.wait()


def _wait(
    process: subprocess.Popen[bytes], gateway: Gateway, fetcher: Fetcher, stall_seconds: float
) -> None:
    """Wait until img2dataset ends, or until there is a reason to terminate it."""
    num_results, changed = 0, time.monotonic()
    while process.poll() is None:
        if gateway.error is not None:
            raise gateway.error
        if fetcher.network_is_down:
            raise Unavailable(network_down_message())
        if len(gateway.results) != num_results:
            num_results, changed = len(gateway.results), time.monotonic()
        if time.monotonic() - changed > stall_seconds:
            logger.warning(
                "scrape: img2dataset made no progress for %.0f s and was terminated", stall_seconds
            )
            return
        time.sleep(0.05)


def network_down_message() -> str:
    """The error message when the network seems to be down."""
    names = ", ".join(proxy_variables())
    proxies = f" It must be reachable without a proxy: {names} is not used." if names else ""
    return (
        "many URLs in a row reached no server (scrape.max_unreached_in_a_row): is the network down?"
        f"{proxies} Nothing was published; run this again to continue"
    )


def _stall_seconds(config: ScrapeConfig) -> float:
    """The longest time without a result: the start of img2dataset, and a picture and the robots.txt
    of its host, each with all attempts and waits."""
    one_attempt = config.timeout_seconds + config.min_interval_seconds + 1.5 * MAX_WAIT_SECONDS
    return _START_SECONDS + 2 * (config.retries + 1) * one_attempt


def _find_contents(parts: Path) -> dict[str, Content]:
    """The place of each key's picture in the tars that img2dataset has finished."""
    contents: dict[str, Content] = {}
    for stats in sorted(parts.glob("*_stats.json")):
        path = stats.with_name(stats.name.replace("_stats.json", ".tar"))
        with tarfile.open(path) as tar:  # not one of ours: webdataset adds pax headers
            by_name = {member.name: member for member in tar}
        rows = pq.read_table(path.with_suffix(".parquet"), columns=["key", KEY_COLUMN])
        for name, key in zip(rows["key"].to_pylist(), rows[KEY_COLUMN].to_pylist(), strict=True):
            member = by_name.get(f"{name}.jpg")
            if member is not None:
                contents[key] = Content(path, member.offset_data, member.size)
    return contents


def disk_fault(log: Path) -> int | None:
    """The number of the error for which img2dataset could not write, such as a full disk. It goes
    on, and its exit code does not tell."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            found = _ERRNO.search(line)
            if found and int(found[1]) in _DISK_FAULTS:
                return int(found[1])
    return None


def _outcome(result: Result | None, content: Content | None) -> Outcome:
    if result is None:
        return failed("not_fetched", "img2dataset did not request it")
    if isinstance(result, FetchError):
        return error_outcome(result)
    if content is None or content.size != result.body.size:
        return failed("not_fetched", "img2dataset fetched it, but its bytes are not in the tar")
    return picture_outcome(result, content)


def picture_outcome(result: Fetched, content: Content) -> Outcome:
    """The outcome of a URL that was fetched."""
    return Outcome(
        status="ok",
        content=content,
        retrieved_at=result.retrieved_at,
        final_url=result.final_url,
        sha256=result.body.sha256,
    )


def error_outcome(error: FetchError) -> Outcome:
    """The outcome of a URL that was not fetched."""
    was_requested = error.reason != "blocked_address"
    return Outcome(
        status=error.status,
        reason=error.reason,
        error_message=error.message,
        retrieved_at=error.at if was_requested else None,
    )
