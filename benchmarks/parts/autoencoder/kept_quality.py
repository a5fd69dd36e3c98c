"""Quality of autoencoders after equal training, from the runs that `quality.py` stored."""

import statistics
from pathlib import Path

from benchmarks.designs.first_stage_results import mean_psnr, paired_with_best_baseline
from benchmarks.designs.results import Results
from benchmarks.shared.checkout import ROOT
from benchmarks.shared.ratios import Ratio

QUICK = FULL = ROOT / "docs" / "results" / "autoencoder.json"


def measure(kept: Path, folder: Path) -> list[Ratio]:
    """The pyramid's PSNR over the better of KL f8 and f16: a difference in dB, no ratio."""
    pairs = paired_with_best_baseline(Results(kept).runs)
    ours = statistics.mean(mean_psnr(pyramid) for pyramid, _ in pairs)
    peer = statistics.mean(mean_psnr(other) for _, other in pairs)
    values = tuple(mean_psnr(pyramid) - mean_psnr(other) for pyramid, other in pairs)
    question = "held-out PSNR after equal time, over the better of KL f8 and f16 (difference)"
    note = "Kept from a long run; docs/results/autoencoder.md has all designs, commit and machine."
    deviation = statistics.stdev(values)
    return [
        Ratio("psnr_gain_db", question, ours, peer, "dB", values, "above 0", note),
        Ratio(
            "psnr_gain_sd", "its standard deviation over seeds", deviation, None, "dB", (deviation,)
        ),
    ]
