"""Quality of diffusion models after equal training, read back from what `quality.py` kept."""

import statistics
from pathlib import Path

from benchmarks.common import ROOT, Ratio
from benchmarks.denoiser_results import RIVALS, compared
from benchmarks.results import Results

QUICK = FULL = ROOT / "docs" / "results" / "diffusion.json"
NOTE = "Kept from a long run: docs/results/diffusion.md."

GOALS = (
    ("distance_vs_ldm", "at most 0.5"),
    ("distance_vs_fair_ldm", "at most 0.8"),
    ("distance_vs_ldm_our_flow", ""),
)


def measure(kept: Path, folder: Path) -> list[Ratio]:
    """Our distance from real crops over LDM's, each source and seed being a round."""
    runs = Results(kept).runs
    lines = []
    for (rival, name), (key, goal) in zip(RIVALS.items(), GOALS, strict=True):
        found = compared(runs, rival)
        if not found:
            raise ValueError(
                f"{kept} holds no run of {rival} beside ours; run quality.py diffusion"
            )
        ours, theirs = zip(*found.values(), strict=True)
        question = f"Fréchet distance from real crops after equal time, against {name}"
        values = tuple(a / b for a, b in zip(ours, theirs, strict=True))
        medians = statistics.median(ours), statistics.median(theirs)
        lines.append(Ratio(key, f"{question} (less is better)", *medians, "", values, goal, NOTE))
    return lines
