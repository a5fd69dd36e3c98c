"""The command img2dataset: its path, its options and its environment."""

import os
from pathlib import Path

from pdm.config.stages.scrape import ScrapeConfig
from pdm.curation.scrape.fetching import supervisor
from pdm.errors import Unavailable
from pdm.machine.limits import usable_cpus

URLS_PER_PART = 1000
KEY_COLUMN = "pdm_key"  # img2dataset has a column `key` of its own
_RUNNER = Path(__file__).with_name("light_img2dataset.py")
_NO_LIMIT_SECONDS = 1_000_000  # the gateway has the time limits


def find_img2dataset() -> Path:
    """The path in PYRAMID_IMG2DATASET, or that of the command in the project's `.venv-scrape`.

    Raises:
        Unavailable: There is no such file.
    """
    named = os.environ.get("PYRAMID_IMG2DATASET")
    project = Path(__file__).resolve().parents[4]
    paths = (
        [Path(named)]
        if named
        else [root / ".venv-scrape" / "bin" / "img2dataset" for root in (project, Path.cwd())]
    )
    for path in paths:
        if path.is_file():
            return path
    raise Unavailable(
        f"{paths[0]}: img2dataset is not installed; run `make setup`, or set PYRAMID_IMG2DATASET "
        "to the path of the command"
    )


def build_command(urls: Path, parts: Path, config: ScrapeConfig, num_urls: int) -> list[str]:
    """The command line: fetch everything once, and do not re-encode.

    Args:
        urls: A parquet file with the columns `url` and `KEY_COLUMN`.
        parts: Output folder.
        config: The number of threads.
        num_urls: Rows of `urls`.
    """
    num_processes = min(usable_cpus(), -(-num_urls // URLS_PER_PART))
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
        "retries": 0,  # the gateway retries
        "enable_wandb": False,
    }
    words = _starting_words(find_img2dataset())
    return words + [f"--{name}={value}" for name, value in options.items()]


def _starting_words(command: Path) -> list[str]:
    """The words that start the command: by the runner, which starts in less than half the time, if
    pip installed it."""
    head = command.read_bytes()[:1000]
    interpreter = Path(
        head.partition(b"\n")[0].removeprefix(b"#!").strip().decode(errors="replace")
    )
    is_script_of_pip = b"from img2dataset import main" in head
    if is_script_of_pip and interpreter.name.startswith("python") and interpreter.is_file():
        return [str(interpreter), str(_RUNNER)]
    return [str(command)]


def supervisor_arguments(words: list[str]) -> list[str]:
    """Arguments with which Python runs a command under the supervisor."""
    return [str(Path(supervisor.__file__)), *words]


def command_environment() -> dict[str, str]:
    """Environment of the command: quiet, and without proxies, since it only reaches loopback."""
    inherited = {name: value for name, value in os.environ.items() if not _is_of_proxies(name)}
    quiet = {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled", "PYTHONWARNINGS": "ignore"}
    # On macOS, Python uses the system's proxies unless some variable is set.
    return inherited | quiet | {"no_proxy": "127.0.0.1,localhost"}


def proxy_variables() -> list[str]:
    """Names of the environment variables that name a proxy for web requests."""
    wanted = ("http_proxy", "https_proxy", "all_proxy")
    return sorted(name for name, value in os.environ.items() if value and name.lower() in wanted)


def _is_of_proxies(name: str) -> bool:
    return name.lower().endswith("_proxy")
