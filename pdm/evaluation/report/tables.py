"""Writes scores, and the data of the charts, as CSV, for `dvc plots` and other tools."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pdm.evaluation.distances.spectrum import frequencies
from pdm.evaluation.features.summary import Summaries, Summary
from pdm.evaluation.memorisation.neighbours import SHARES
from pdm.evaluation.reconstruction import MEASURES

SAMPLES, FLOOR = "samples_vs_val", "train_vs_val"
SCORE_COLUMNS = (
    *("score", "value", "low", "high", "floor", "floor_low", "floor_high"),
    *("num_judged", "num_reference"),
)


def write_tables(folder: Path, scores: Mapping[str, float], summaries: Summaries) -> None:
    """Write `scores.csv`, `spectrum.csv`, `sliced_wasserstein.csv` and `reconstruction.csv`."""
    samples, val, train = summaries
    _write(folder / "scores.csv", SCORE_COLUMNS, _score_rows(scores))
    _write(
        folder / "spectrum.csv",
        ("cycles_per_pixel", samples.name, val.name, train.name),
        [
            (round(float(frequency), 6), *(round(power, 4) for power in powers))
            for frequency, *powers in zip(
                frequencies(len(val.spectrum)),
                *(decibels(each) for each in (samples, val, train)),
                strict=True,
            )
        ],
    )
    _write(
        folder / "sliced_wasserstein.csv",
        ("level", SAMPLES, FLOOR),
        [
            (level, scores[f"swd/{level}/{SAMPLES}"], scores[f"swd/{level}/{FLOOR}"])
            for level in val.patches
        ],
    )
    _write(
        folder / "reconstruction.csv",
        ("levels", *MEASURES),
        [
            (count, *values)
            for count, values in enumerate(
                zip(*(by_prefix(scores, measure) for measure in MEASURES), strict=True), start=1
            )
        ],
    )


def _score_rows(scores: Mapping[str, float]) -> list[tuple[object, ...]]:
    """List each score with its interval and its floor: the score of real pictures, or the value
    expected of new ones. Scores of reconstructions have no floor."""
    compared, val = (int(scores[f"counts/num_{name}"]) for name in ("compared", "val"))
    samples = int(scores["counts/num_samples"])
    rows: list[tuple[object, ...]] = []
    for name in sorted(scores):
        stem, _, pair = name.rpartition("/")
        if pair == SAMPLES and not name.startswith("intervals/"):
            floor = f"{stem}/{FLOOR}"
            rows.append(
                (stem, *_with_interval(scores, name), *_with_interval(scores, floor), compared, val)
            )
        elif pair in SHARES:
            by_chance = scores[f"{stem}/expected_{pair}"]
            rows.append((name, *_with_interval(scores, name), by_chance, "", "", samples, val))
        elif name.startswith("reconstruction/"):
            rows.append((name, *_with_interval(scores, name), "", "", "", val, ""))
    return rows


def _with_interval(scores: Mapping[str, float], name: str) -> tuple[object, object, object]:
    """Return a score and the ends of its interval, which are empty if there is none."""
    low, high = (scores.get(f"intervals/{name}/{end}", "") for end in ("low", "high"))
    return scores[name], low, high


def decibels(summary: Summary) -> Sequence[float]:
    """Return the mean spectrum in decibels."""
    return [float(value) for value in 10 * np.log10(summary.spectrum + 1e-12)]


def by_prefix(scores: Mapping[str, float], measure: str) -> list[float]:
    """List a reconstruction measure for one level, two levels, ..."""
    start = f"reconstruction/{measure}/levels_"
    values = {
        int(name.removeprefix(start)): scores[name] for name in scores if name.startswith(start)
    }
    return [values[count] for count in sorted(values)]


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
