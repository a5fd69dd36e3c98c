"""Quality of diffusion models after equal training, from the runs that `quality.py` stored."""

import statistics
from pathlib import Path

from benchmarks.designs.denoiser_results import BASELINES, paired_distances
from benchmarks.designs.results import Results
from benchmarks.shared.checkout import ROOT
from benchmarks.shared.ratios import Ratio

QUICK = FULL = ROOT / "docs" / "results" / "diffusion.json"
NOTE = "Kept from a long run: docs/results/diffusion.md."

GOALS = (
    ("distance_vs_ldm", "at most 0.5"),
    ("distance_vs_fair_ldm", "at most 0.8"),
    ("distance_vs_ldm_our_flow", ""),
)


def measure(kept: Path, folder: Path) -> list[Ratio]:
    """Our distance from real crops over LDM's; each source and seed counts as a round."""
    runs = Results(kept).runs
    lines = []
    for (baseline, name), (key, goal) in zip(BASELINES.items(), GOALS, strict=True):
        pairs = paired_distances(runs, baseline)
        if not pairs:
            raise ValueError(
                f"{kept} has no run of {baseline} beside ours; run quality.py diffusion"
            )
        ours, theirs = zip(*pairs.values(), strict=True)
        question = f"Fréchet distance from real crops after equal time, against {name}"
        values = tuple(a / b for a, b in zip(ours, theirs, strict=True))
        medians = statistics.median(ours), statistics.median(theirs)
        lines.append(Ratio(key, f"{question} (less is better)", *medians, "", values, goal, NOTE))
    return lines
