"""Detects samples that are copies of training pictures, by comparing their nearest neighbours in
features and pixels with those of held-out pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdm.evaluation.features.summary import Summaries, Summary
from pdm.evaluation.memorisation.neighbours import SHARES, Neighbours, nearest_or_mirrored

MEASURES = ("by_features", "by_pixels")


@dataclass(frozen=True, kw_only=True, slots=True)
class Memorisation:
    """Nearest training picture of each sample and of each held-out picture.

    Mirrored training pictures are included, because training flips pictures. Pixel distances are
    root mean squares between thumbnails on the scale [-1, 1].
    """

    samples_by_features: Neighbours
    samples_by_pixels: Neighbours
    val_by_features: Neighbours
    val_by_pixels: Neighbours

    def scores(self) -> dict[str, float]:
        """Compute the shares of samples nearer to a training picture than held-out pictures are.
        `expected_...` is the share expected of new pictures.
        """
        scores: dict[str, float] = {}
        for name, (samples, val) in self.pairs().items():
            scores |= {f"{name}/{share}": value(samples, val) for share, value in SHARES.items()}
            scores |= {
                f"{name}/expected_share_of_copies": 0.0,
                f"{name}/expected_share_closer_than_all_val": 1 / (len(val.distances) + 1),
                f"{name}/expected_share_closer_than_median_val": 0.5,
                f"{name}/samples_median_distance": float(np.median(samples.distances)),
                f"{name}/val_median_distance": float(np.median(val.distances)),
            }
        return scores

    def pairs(self) -> dict[str, tuple[Neighbours, Neighbours]]:
        """Return the neighbours of samples and held-out pictures, by measure."""
        return {
            "by_features": (self.samples_by_features, self.val_by_features),
            "by_pixels": (self.samples_by_pixels, self.val_by_pixels),
        }

    def closest(self, count: int) -> NDArray[np.int64]:
        """Return the indices of the samples nearest to a training picture, nearest first.

        They are ordered by the better of their ranks in features and pixels, so that a copy found
        by only one of them is not missed.
        """
        ranks = [
            neighbours.distances.argsort(kind="stable").argsort(kind="stable")
            for neighbours in (self.samples_by_features, self.samples_by_pixels)
        ]
        return np.lexsort((ranks[0], np.minimum(*ranks)))[:count]


def memorisation_evidence(scores: Mapping[str, float]) -> list[str]:
    """List the measures, "by features" and "by pixels", by which samples may be memorised.

    Without copies (`has_copies`) they may also be blurred: such pictures are close to many others.
    A measure is listed if a sample is a copy by it, or if the 95 % interval of the share of samples
    closer to a training picture than the median held-out picture is above the half expected of new
    ones.
    """
    return [
        measure.replace("_", " ")
        for measure in MEASURES
        if scores[f"memorisation/{measure}/share_of_copies"] > 0
        or scores[f"intervals/memorisation/{measure}/share_closer_than_median_val/low"] > 0.5
    ]


def has_copies(scores: Mapping[str, float]) -> bool:
    """Whether a sample is a copy of a training picture by any measure."""
    return any(scores[f"memorisation/{measure}/share_of_copies"] > 0 for measure in MEASURES)


def measure_memorisation(summaries: Summaries) -> Memorisation:
    """Find the nearest training pictures of samples and held-out pictures."""
    samples, val, train = summaries
    return Memorisation(
        samples_by_features=_by_features(samples, train),
        samples_by_pixels=_by_pixels(samples, train),
        val_by_features=_by_features(val, train),
        val_by_pixels=_by_pixels(val, train),
    )


def _by_features(queries: Summary, train: Summary) -> Neighbours:
    return nearest_or_mirrored(queries.features, train.features, train.mirrored_features)


def _by_pixels(queries: Summary, train: Summary) -> Neighbours:
    flat = queries.thumbnails.reshape(len(queries.thumbnails), -1)
    references = train.thumbnails.reshape(len(train.thumbnails), -1)
    return nearest_or_mirrored(flat, references, Mirrored(train.thumbnails))


class Mirrored:
    """Thumbnails (N, 3, h, w) mirrored left to right as vectors, some rows at a time: a copy of all
    would not fit in memory.
    """

    def __init__(self, thumbnails: NDArray[np.float32]) -> None:
        self._thumbnails = thumbnails

    def __len__(self) -> int:
        return len(self._thumbnails)

    def __getitem__(self, rows: slice) -> NDArray[np.float32]:
        some = self._thumbnails[rows]
        return some[..., ::-1].reshape(len(some), -1)
