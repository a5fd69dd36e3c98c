"""Quality of autoencoders after equal training, read back from what `quality.py` kept."""

import statistics
from pathlib import Path

from benchmarks.common import ROOT, Ratio
from benchmarks.first_stage_results import gains, mean_psnr
from benchmarks.results import Results

QUICK = FULL = ROOT / "docs" / "results" / "autoencoder.json"


def measure(kept: Path, folder: Path) -> list[Ratio]:
    """The pyramid's PSNR over the better of KL f8 and f16: a difference in dB, no ratio."""
    found = gains(Results(kept).runs)
    ours = statistics.mean(mean_psnr(pyramid) for pyramid, _ in found)
    peer = statistics.mean(mean_psnr(rival) for _, rival in found)
    values = tuple(mean_psnr(pyramid) - mean_psnr(rival) for pyramid, rival in found)
    question = "held-out PSNR after equal time, over the better of KL f8 and f16 (difference)"
    note = "Kept from a long run; docs/results/autoencoder.md has all designs, commit and machine."
    spread = statistics.stdev(values)
    return [
        Ratio("psnr_gain_db", question, ours, peer, "dB", values, "above 0", note),
        Ratio("psnr_gain_sd", "its standard deviation over seeds", spread, 0.0, "dB", (spread,)),
    ]
