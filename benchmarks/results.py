"""Keeps the runs of long comparisons in docs/results: all runs as JSON, and the table of them."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pdm.files import whole_file, write_json

Run = dict[str, Any]
LEVEL_NAMES = ("1x1", "to 2x2", "to 4x4", "all")  # of the pyramid of a 64x64 picture


class Results:
    """Runs, one for each design, length and seed; a new one takes the place of its like."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs: list[Run] = json.loads(path.read_text())["runs"] if path.exists() else []

    def add(self, run: Run) -> None:
        self.runs = [one for one in self.runs if _which(one) != _which(run)] + [run]

    def write(self, page: Path, table: Callable[[list[Run]], str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, {"runs": self.runs})
        with whole_file(page) as temporary:
            temporary.write_text(table(self.runs), encoding="utf-8")


def _which(run: Run) -> tuple[str, str, int]:
    return run["design"], length(run), run["seed"]


def length(run: Run) -> str:
    """Of the training, in words."""
    return f"{run['seconds']:g} s" if run["seconds"] else f"{run['images']:,} images"


def grouped(runs: list[Run]) -> dict[tuple[str, str], list[Run]]:
    """Runs by length (seconds before images, the longest first) and design, each by seed."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in sorted(
        runs, key=lambda run: (-(run["seconds"] or 0), -(run["images"] or 0), run["seed"])
    ):
        groups.setdefault((length(run), run["design"]), []).append(run)
    return groups


def mean_psnr(run: Run, prefix: int = -1) -> float:
    """Of all held-out pictures, each source alike, in dB; prefix as an index."""
    return statistics.mean(source[prefix]["psnr_db"] for source in run["scores"].values())


def gains(runs: list[Run]) -> list[tuple[Run, Run]]:
    """For each seed that all three have: the pyramid's run and the better rival's, the longest."""
    timed = [run["seconds"] for run in runs if run["design"] == "kl-f8" and run["seconds"]]
    longest = f"{max(timed, default=0):g} s"
    by_name = {
        name: {run["seed"]: run for run in grouped(runs).get((longest, name), [])}
        for name in ("pyramid", "kl-f8", "kl-f16")
    }
    ours, *rivals = by_name.values()
    seeds = [seed for seed in ours if all(seed in rival for rival in rivals)]
    return [(ours[seed], max((one[seed] for one in rivals), key=mean_psnr)) for seed in seeds]


def autoencoder_table(runs: list[Run]) -> str:
    """The page: what was compared, one row a design, and the pyramid's prefixes."""
    groups = grouped(runs)
    sources = sorted({name for run in runs for name in run["scores"]})
    lines = [
        "# Quality of autoencoders for the same time of training",
        "",
        _facts(runs),
        "",
        "| design | seeds | trained for | images seen | parameters | values | "
        + " | ".join(f"{name}: PSNR dB, SSIM, gradient error" for name in sources)
        + " | mean PSNR against the pyramid's |",
        "|" + "---|" * (7 + len(sources)),
    ]
    for (trained, name), found in groups.items():
        first, base = found[0], {run["seed"]: run for run in groups.get((trained, "pyramid"), [])}
        cells = [
            name,
            str(len(found)),
            trained,
            f"{statistics.mean(run['images_seen'] for run in found):,.0f}",
            f"{first['parameters']:,}",
            str(first["latent_values"]),
            *(", ".join(_spread(found, source, -1)) for source in sources),
            _against(found, base),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "The pyramid from ever more of its levels, coarse to fine:", ""]
    lines += ["| levels | " + " | ".join(sources) + " |", "|" + "---|" * (1 + len(sources))]
    pyramids = next((found for (_, name), found in groups.items() if name == "pyramid"), [])
    for prefix, levels in enumerate(LEVEL_NAMES if pyramids else ()):
        cells = [", ".join(_spread(pyramids, source, prefix)) for source in sources]
        lines.append(f"| {levels} | " + " | ".join(cells) + " |")
    found = [mean_psnr(ours) - mean_psnr(rival) for ours, rival in gains(runs)]
    if len(found) > 1:
        lines += [
            "",
            "Gain over the better of kl-f8 and kl-f16, seed by seed: "
            f"{statistics.mean(found):.2f} ± {statistics.stdev(found):.2f} dB.",
        ]
    return "\n".join(lines) + "\n"


def _facts(runs: list[Run]) -> str:
    machine = runs[-1]["machine"]
    commits = ", ".join(sorted({run["machine"]["git"] for run in runs}))
    return (
        f"Made by `benchmarks/quality.py autoencoder`, which says how; commits {commits}; one "
        f"thread of {machine['processor']}, {machine['cores']} cores, "
        f"torch {machine['versions']['torch']}. Crops of 64x64 px, whole pictures held out. "
        "Seconds are of the processor. Mean ± standard deviation over the seeds."
    )


def _spread(runs: list[Run], source: str, prefix: int) -> list[str]:
    cells = []
    for name, digits in (("psnr_db", 2), ("ssim", 3), ("gradient_error", 4)):
        values = [run["scores"][source][prefix][name] for run in runs]
        deviation = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
        cells.append(f"{statistics.mean(values):.{digits}f}{deviation}")
    return cells


def _against(runs: list[Run], base: dict[int, Run]) -> str:
    same = [mean_psnr(run) - mean_psnr(base[run["seed"]]) for run in runs if run["seed"] in base]
    if not same:
        return ""
    deviation = f" ± {statistics.stdev(same):.2f}" if len(same) > 1 else ""
    return f"{statistics.mean(same):+.2f}{deviation}"
