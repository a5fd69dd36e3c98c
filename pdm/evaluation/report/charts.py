"""Charts of the scores as PNG. Equal scores give equal bytes: no date or version is written."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdm.evaluation.distances.spectrum import frequencies
from pdm.evaluation.features.summary import Summaries
from pdm.evaluation.report.tables import FLOOR, SAMPLES, by_prefix, decibels

COLOURS = {"samples": "#d1495b", "val": "#00798c", "train": "#8d96a3"}
LABELS = {"samples": "samples", "val": "held out", "train": "training"}


def write_charts(folder: Path, scores: Mapping[str, float], summaries: Summaries) -> None:
    """Write `spectrum.png`, `sliced-wasserstein.png` and `reconstruction.png`."""
    _plot_spectrum(folder / "spectrum.png", summaries)
    _plot_levels(folder / "sliced-wasserstein.png", scores, list(summaries.val.patches))
    _plot_reconstruction(folder / "reconstruction.png", scores)


def _save(figure: Figure, path: Path) -> None:
    """Write a figure without the version of matplotlib."""
    figure.savefig(path, metadata={"Software": None})


def _plot_spectrum(path: Path, summaries: Summaries) -> None:
    figure, axes = _figure("Power by spatial frequency", "cycles per pixel", "decibels")
    for each in summaries:
        colour, label = COLOURS[each.name], LABELS[each.name]
        axes.plot(frequencies(len(each.spectrum)), decibels(each), color=colour, label=label)
    axes.legend(frameon=False)
    _save(figure, path)


def _plot_levels(path: Path, scores: Mapping[str, float], levels: list[str]) -> None:
    figure, axes = _figure(
        "Sliced Wasserstein distance to held-out images",
        "Laplacian level, height x width in pixels",
        "distance",
    )
    places = np.arange(len(levels))
    for offset, comparison, key, label in (
        (-0.2, SAMPLES, "samples", "samples"),
        (0.2, FLOOR, "train", "floor: training images"),
    ):
        heights = [scores[f"swd/{level}/{comparison}"] for level in levels]
        axes.bar(places + offset, heights, 0.36, color=COLOURS[key], label=label)
    axes.set_xticks(places, [level.removeprefix("level_") for level in levels])
    axes.legend(frameon=False)
    _save(figure, path)


def _plot_reconstruction(path: Path, scores: Mapping[str, float]) -> None:
    figure = Figure(figsize=(7, 4), dpi=100, layout="constrained")
    figure.suptitle("Held-out images through the autoencoder")
    for axes, measure, label in zip(
        figure.subplots(1, 2), ("psnr_db", "ssim"), ("PSNR in dB", "SSIM"), strict=True
    ):
        values = by_prefix(scores, measure)
        counts = range(1, len(values) + 1)
        axes.plot(counts, values, "o-", color=COLOURS["val"])
        axes.set(xlabel="levels decoded, coarse to fine", ylabel=label, xticks=list(counts))
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4), dpi=100, layout="constrained")
    axes = figure.subplots()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
