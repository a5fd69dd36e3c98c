"""The command img2dataset: where it is, and how it is told to move bytes and do nothing else."""

import os
from pathlib import Path

from pdm.config.scrape import ScrapeConfig
from pdm.curation.scrape.fetching import supervisor
from pdm.curation.scrape.processes import available_cores
from pdm.errors import Unavailable

URLS_PER_PART = 1000
KEY_COLUMN = "pdm_key"  # img2dataset has a column `key` of its own
_NO_LIMIT_SECONDS = 1_000_000  # the gateway ends every picture in time, waits for hosts included


def find_img2dataset() -> Path:
    """The command: what PYRAMID_IMG2DATASET names, or the one in `.venv-scrape` of the project.

    Raises:
        Unavailable: It is not there.
    """
    named = os.environ.get("PYRAMID_IMG2DATASET")
    project = Path(__file__).resolve().parents[4]
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


def command(urls: Path, parts: Path, config: ScrapeConfig, num_urls: int) -> list[str]:
    """The command line: fetch once, keep the bytes as they are.

    Args:
        urls: A parquet file with the columns `url` and `KEY_COLUMN`.
        parts: Folder for what is fetched.
    """
    num_processes = min(available_cores(), -(-num_urls // URLS_PER_PART))
    options = {
        "url_list": urls,
        "input_format": "parquet",
        "save_additional_columns": f'["{KEY_COLUMN}"]',
        "output_folder": parts,
        "output_format": "webdataset",
        "resize_mode": "no",
        "disable_all_reencoding": True,
        "extract_exif": False,
        "compute_hash": "sha256",
        "number_sample_per_shard": URLS_PER_PART,
        "processes_count": max(1, num_processes),
        "thread_count": config.num_threads,
        "timeout": _NO_LIMIT_SECONDS,
        "retries": 0,  # the gateway's business
        "enable_wandb": False,
    }
    return [str(find_img2dataset())] + [f"--{name}={value}" for name, value in options.items()]


def supervised(words: list[str]) -> list[str]:
    """Arguments for Python that run a command under the supervisor."""
    return [str(Path(supervisor.__file__)), *words]


def environment() -> dict[str, str]:
    """Of the command: quiet, and without a proxy, since it speaks to this machine only."""
    inherited = {name: value for name, value in os.environ.items() if not _is_of_proxies(name)}
    quiet = {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled", "PYTHONWARNINGS": "ignore"}
    # Some value, or Python on a Mac would take the proxies of the system.
    return inherited | quiet | {"no_proxy": "127.0.0.1,localhost"}


def proxy_variables() -> list[str]:
    """Names of the environment's variables that send web requests through a proxy."""
    wanted = ("http_proxy", "https_proxy", "all_proxy")
    return sorted(name for name, value in os.environ.items() if value and name.lower() in wanted)


def _is_of_proxies(name: str) -> bool:
    return name.lower().endswith("_proxy")
