"""Fetches URLs with img2dataset, a command in an environment of its own. Bytes arrive unchanged.

img2dataset moves bytes and decides nothing. By itself it would read local files, follow redirects
anywhere, and wait and read without end; so it is given addresses of our own gateway instead of
URLs (`pdm.curation.scrape.guard`), which fetches under guard and says what became of each URL. Its
exit code says little: every URL is looked for afterwards.
"""

import logging
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

from pdm.config.scrape import ScrapeConfig
from pdm.curation.scrape.entries import Content, Outcome, failed
from pdm.curation.scrape.fetching.img2dataset import (
    KEY_COLUMN,
    command,
    environment,
    proxy_variables,
    supervised,
)
from pdm.curation.scrape.guard.addresses import anything, public_only
from pdm.curation.scrape.guard.faults import Fault
from pdm.curation.scrape.guard.fetcher import Fetched, Fetcher, Target
from pdm.curation.scrape.guard.gateway import Gateway, Result
from pdm.curation.scrape.guard.transport.urls import place_of
from pdm.curation.scrape.guard.visits import MAX_WAIT_SECONDS
from pdm.errors import Unavailable
from pdm.progress import Progress

logger = logging.getLogger(__name__)

Settled = Callable[[str, Result, Path], None]

_START_SECONDS = 90.0


def fetch(
    targets: Mapping[str, Target],
    config: ScrapeConfig,
    folder: Path,
    settled: Settled = lambda key, result, path: None,
) -> dict[str, Outcome]:
    """Fetch every URL, whatever becomes of others.

    Args:
        targets: By key.
        folder: Empty; the contents of the outcomes lie in it afterwards.
        settled: Called for every URL as soon as it is known what became of it, by any thread; see
            `Gateway`.

    Returns:
        An outcome for every key.

    Raises:
        Unavailable: img2dataset is not installed, it ended without fetching anything, or so many
            URLs in a row reached no server that the network seems to be down.
        OSError: The disk is full.
    """
    if not targets:
        return {}
    _say_that_proxies_are_not_used(targets)
    parts, bodies = folder / "parts", folder / "bodies"
    bodies.mkdir(parents=True)
    progress, lock = Progress("scrape: fetching", len(targets), "URLs"), threading.Lock()

    def counted(key: str, result: Result, path: Path) -> None:
        settled(key, result, path)
        with lock:
            progress.advance()

    fetcher = Fetcher(config)
    gateway = Gateway(fetcher, targets, bodies, counted)
    with gateway.running():
        ended = _run(folder, in_turns(targets), config, gateway, fetcher)
    if not gateway.results and ended:
        log = (folder / "img2dataset.log").read_text(encoding="utf-8", errors="replace")
        tail = " / ".join(log.splitlines()[-3:]) or "no message"
        raise Unavailable(f"img2dataset fetched nothing and ended with: {tail}")
    lying = _lying(parts)
    return {key: _outcome(gateway.results.get(key), lying.get(key)) for key in targets}


def _say_that_proxies_are_not_used(targets: Mapping[str, Target]) -> None:
    leaves_this_machine = any(target.rule in (public_only, anything) for target in targets.values())
    if leaves_this_machine and (names := proxy_variables()):
        logger.warning(
            "scrape: %s set, but pictures are fetched directly: through a proxy nobody could see "
            "which addresses are reached",
            f"{', '.join(names)} {'are' if len(names) > 1 else 'is'}",
        )


def in_turns(targets: Mapping[str, Target]) -> list[str]:
    """Keys, with hosts taking turns, so that a host of many pictures holds up no other."""
    of_host: dict[str, list[str]] = defaultdict(list)
    for key, target in targets.items():
        of_host[place_of(target.url)[0]].append(key)
    return [key for key in chain.from_iterable(zip_longest(*of_host.values())) if key is not None]


def _run(
    folder: Path, keys: list[str], config: ScrapeConfig, gateway: Gateway, fetcher: Fetcher
) -> bool:
    """Let img2dataset fetch the keys from the gateway; True if it ended by itself."""
    urls_file = folder / "urls.parquet"
    urls = [gateway.url_of(key) for key in keys]
    pq.write_table(pa.table({"url": urls, KEY_COLUMN: keys}), urls_file)
    words = command(urls_file, folder / "parts", config, len(keys))
    with (folder / "img2dataset.log").open("wb") as output:
        # A group of its own: ctrl-C reaches us, and we end it.
        process = subprocess.Popen(
            [sys.executable, "-I", *supervised(words)],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=environment(),
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
    """Wait for the end of img2dataset, or for a reason to end it."""
    num_settled, changed = 0, time.monotonic()
    while process.poll() is None:
        if gateway.own_fault is not None:
            raise gateway.own_fault
        if fetcher.network_is_down:
            raise Unavailable(network_down_message())
        if len(gateway.results) != num_settled:
            num_settled, changed = len(gateway.results), time.monotonic()
        if time.monotonic() - changed > stall_seconds:
            logger.warning("scrape: img2dataset stood still for %.0f s; ended it", stall_seconds)
            return
        time.sleep(0.05)


def network_down_message() -> str:
    """What a user is told when nothing seems to be reachable any more."""
    names = ", ".join(proxy_variables())
    proxies = f" It has to be reached without a proxy: {names} is not used." if names else ""
    return (
        "many URLs in a row reached no server (scrape.max_unreached_in_a_row): is the network down?"
        f"{proxies} Nothing was published; run this again, and it goes on from there"
    )


def _stall_seconds(config: ScrapeConfig) -> float:
    """Longest time in which nothing may be settled: the start of img2dataset, and a picture and the
    robots.txt of its host, each with all its tries and waits."""
    one_try = config.timeout_seconds + config.min_interval_seconds + 1.5 * MAX_WAIT_SECONDS
    return _START_SECONDS + 2 * (config.retries + 1) * one_try


def _lying(parts: Path) -> dict[str, Content]:
    """Where the picture of each key lies in the tars that img2dataset finished."""
    found: dict[str, Content] = {}
    for stats in sorted(parts.glob("*_stats.json")):
        tar = stats.with_name(stats.name.replace("_stats.json", ".tar"))
        with tarfile.open(tar) as opened:  # not one of ours: webdataset adds pax headers
            own = {member.name: member for member in opened}
        rows = pq.read_table(tar.with_suffix(".parquet"), columns=["key", KEY_COLUMN])
        for name, key in zip(rows["key"].to_pylist(), rows[KEY_COLUMN].to_pylist(), strict=True):
            member = own.get(f"{name}.jpg")
            if member is not None:
                found[key] = Content(tar, member.offset_data, member.size)
    return found


def _outcome(result: Result | None, lying: Content | None) -> Outcome:
    if result is None:
        return failed("not_fetched", "img2dataset did not ask for it")
    if isinstance(result, Fault):
        return fault_outcome(result)
    if lying is None or lying.size != result.body.size:
        return failed("not_fetched", "img2dataset fetched it, but its bytes are not in the tar")
    return picture_outcome(result, lying)


def picture_outcome(result: Fetched, content: Content) -> Outcome:
    """The outcome of a URL that brought a picture."""
    return Outcome(
        status="ok",
        content=content,
        retrieved_at=result.retrieved_at,
        final_url=result.final_url,
        sha256=result.body.sha256,
    )


def fault_outcome(fault: Fault) -> Outcome:
    """The outcome of a URL that brought none."""
    asked = fault.reason != "blocked_address"
    return Outcome(
        status=fault.status,
        reason=fault.reason,
        error_message=fault.message,
        retrieved_at=fault.at if asked else None,
    )
