"""Fetches URLs with img2dataset, a command in an environment of its own. Bytes arrive unchanged.

img2dataset moves bytes and decides nothing: it is given only URLs that were checked before. By
itself it follows redirects anywhere, has no limit on the size of a body, and its time-out is for
one read, not for one picture. `environment` is the seam for a forward proxy that guards against
these (`http_proxy`, `https_proxy`); without one, a list from a stranger should not be fetched on a
machine whose network holds secrets. Its exit code says little: every URL is looked for afterwards.
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pdm.config.scrape import ScrapeConfig
from pdm.curation.scrape import supervisor
from pdm.curation.scrape.entries import Content, Outcome, failed
from pdm.curation.scrape.fetch_errors import outcome_of_error
from pdm.curation.scrape.processes import available_cores
from pdm.data.tars import Member, members
from pdm.errors import Unavailable

logger = logging.getLogger(__name__)

URLS_PER_PART = 1000
_KEY_COLUMN = "pdm_key"  # img2dataset has a column `key` of its own
_START_SECONDS = 90.0
_SECONDS_BETWEEN_LINES = 5.0


def fetch(
    urls: Mapping[str, str], config: ScrapeConfig, folder: Path, environment: Mapping[str, str]
) -> dict[str, Outcome]:
    """Fetch every URL, whatever becomes of others.

    Args:
        urls: By key. Their order decides how they are grouped, and nothing else.
        folder: Empty; the contents of the outcomes lie in it afterwards.
        environment: Added to that of the command.

    Returns:
        An outcome for every key.

    Raises:
        Unavailable: img2dataset is not installed, or it ended without fetching anything.
    """
    parts = folder / "parts"
    urls_file = folder / "urls.parquet"
    pq.write_table(pa.table({"url": list(urls.values()), _KEY_COLUMN: list(urls)}), urls_file)
    log = folder / "img2dataset.log"
    seconds = _limit_seconds(len(urls), config)
    ended = _run(_command(urls_file, parts, config, len(urls)), environment, log, seconds, parts)
    found: dict[str, Outcome] = {}
    for part in sorted(parts.glob("*_stats.json")):
        found |= _outcomes(part.with_name(part.name.replace("_stats.json", ".parquet")))
    if urls and not found and ended:
        tail = " / ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])
        raise Unavailable(f"img2dataset fetched nothing and ended with: {tail or 'no message'}")
    lost = failed("not_fetched", f"img2dataset did not come to it within {seconds:.0f} s")
    return {key: found.get(key, lost) for key in urls}


def find_img2dataset() -> Path:
    """The command: what PYRAMID_IMG2DATASET names, or the one in `.venv-scrape` of the project.

    Raises:
        Unavailable: It is not there.
    """
    named = os.environ.get("PYRAMID_IMG2DATASET")
    project = Path(__file__).resolve().parents[3]
    places = (
        [Path(named)]
        if named
        else [root / ".venv-scrape" / "bin" / "img2dataset" for root in (project, Path.cwd())]
    )
    for place in places:
        if place.is_file():
            return place
    raise Unavailable(
        f"{places[0]}: img2dataset is not installed; run `make setup`, or name the command in "
        "PYRAMID_IMG2DATASET"
    )


def _limit_seconds(num_urls: int, config: ScrapeConfig) -> float:
    """Time in which even a list of slow servers is done: every URL waits three time-outs (name,
    connection, body) at every try."""
    rounds = -(-num_urls // config.num_threads)
    return _START_SECONDS + 3 * rounds * (config.retries + 1) * config.timeout_seconds


def _command(urls: Path, parts: Path, config: ScrapeConfig, num_urls: int) -> list[str]:
    num_processes = min(available_cores(), -(-num_urls // URLS_PER_PART))
    options = {
        "url_list": urls,
        "input_format": "parquet",
        "save_additional_columns": f'["{_KEY_COLUMN}"]',
        "output_folder": parts,
        "output_format": "webdataset",
        "resize_mode": "no",
        "disable_all_reencoding": True,
        "extract_exif": False,
        "compute_hash": "sha256",
        "number_sample_per_shard": URLS_PER_PART,
        "processes_count": max(1, num_processes),
        "thread_count": config.num_threads,
        "timeout": config.timeout_seconds,
        "retries": config.retries,
        "user_agent_token": "pyramid-diffusion",
        "enable_wandb": False,
    }
    return [str(find_img2dataset())] + [f"--{name}={value}" for name, value in options.items()]


def _run(
    command: list[str], environment: Mapping[str, str], log: Path, seconds: float, parts: Path
) -> bool:
    """Run the command under the supervisor; True if it ended by itself within the time."""
    quiet = {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled", "PYTHONWARNINGS": "ignore"}
    supervised = [sys.executable, "-I", str(Path(supervisor.__file__)), *command]
    began = last_line = time.monotonic()
    with log.open("wb") as output:
        # A group of its own: ctrl-C reaches us, and we end it.
        process = subprocess.Popen(
            supervised,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **quiet, **environment},
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() - began < seconds:
                time.sleep(0.1)
                if time.monotonic() - last_line > _SECONDS_BETWEEN_LINES:
                    last_line = time.monotonic()
                    _log_progress(parts, last_line - began)
            return process.poll() is not None
        finally:
            process.terminate()
            process.wait()


def _log_progress(parts: Path, seconds: float) -> None:
    mib = sum(tar.stat().st_size for tar in parts.glob("*.tar")) / 2**20
    logger.info("scrape: fetching, %.0f MiB so far, %.0f s", mib, seconds)


def _outcomes(rows: Path) -> dict[str, Outcome]:
    """What img2dataset says of one part, against what lies in its tar."""
    tar = rows.with_suffix(".tar")
    lying = {member.name: member for member in members(tar)}
    table = pq.read_table(rows, columns=["key", _KEY_COLUMN, "status", "error_message"])
    return {
        row[_KEY_COLUMN]: _outcome(
            row["status"], row["error_message"], tar, lying.get(f"{row['key']}.jpg")
        )
        for row in table.to_pylist()
    }


def _outcome(status: str, error: str | None, tar: Path, member: Member | None) -> Outcome:
    if status != "success":
        return outcome_of_error(error or status)
    if member is None:
        return failed("not_fetched", "img2dataset counted it, but its bytes are not in the tar")
    return Outcome(status="ok", content=Content(tar, member.offset, member.size))
