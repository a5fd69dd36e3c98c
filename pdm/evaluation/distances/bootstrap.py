"""How far a score would move with other pictures of the same kind: bootstrap replicates.

A replicate is the score of as many pictures, drawn again from the same sets with repeats (Efron and
Tibshirani, 1993). Pictures are resampled, not patches: those of one picture are not independent.

The b-th replicate of every run on the same held-out pictures with the same seed resamples them the
same way, and the i-th sample and the i-th training picture likewise. So what the choice of pictures
does to two runs alike cancels in the difference of their replicates, whose percentiles are the
interval of the difference of the runs.

Fréchet and kernel distances of resampled sets are taken as they are while a set has up to
`MAX_RESAMPLED_VALUES` values: vectors times their length. Of larger sets they are taken to first
order: the score, plus the influence of each vector as often as it is drawn. That costs one pass
instead of one for each replicate, and strays from the truth no further (docs/precision.md).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pdm.config.evaluate import EvaluateConfig
from pdm.evaluation.distances.by_name import Comparison
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.influence import frechet_influences
from pdm.evaluation.distances.kernel import resampled_kernel_distances
from pdm.evaluation.distances.moments import Array, Moments
from pdm.evaluation.distances.sliced_wasserstein import resampled_sliced_wasserstein
from pdm.evaluation.distances.spectrum import spectrum_difference
from pdm.evaluation.neighbours import SHARES, Neighbours

STREAMS = {"val": 0, "samples": 1, "train": 2}  # of random numbers, one for each set
LOW, HIGH = 2.5, 97.5  # percentiles of the intervals
MAX_RESAMPLED_VALUES = 2**20  # 16,384 vectors of 64 features, or 512 of 2,048


def drawn_counts(name: str, num_pictures: int, config: EvaluateConfig) -> Array:
    """How often each picture of a set is drawn in each replicate, (num_replicates, num_pictures).

    Rows sum to `num_pictures`. They follow from the set's name, its size and the seed alone.
    """
    random = np.random.default_rng([config.seed, STREAMS[name]])
    chances = np.full(num_pictures, 1 / num_pictures)
    return random.multinomial(num_pictures, chances, size=config.num_replicates).astype(np.float64)


def of_distances(comparison: Comparison, config: EvaluateConfig) -> dict[str, Array]:
    """Replicates of what `distances` gives, by the same names, not yet centred."""
    judged, reference = comparison.judged, comparison.reference
    ours = drawn_counts(judged.name, len(judged.compared), config)
    theirs = drawn_counts(reference.name, len(reference.compared), config)
    levels = {
        f"swd/{level}": resampled_sliced_wasserstein(
            (judged.patches[level], reference.patches[level]),
            (ours, theirs),
            config.patches_per_image,
            config.num_projections,
            config.seed,
        )
        for level in reference.patches
    }
    spectra = (each.spectra for each in (judged, reference))
    means = zip(*(_means(*pair) for pair in zip(spectra, (ours, theirs), strict=True)), strict=True)
    return {
        **_of_views(comparison, ours, theirs),
        **_of_manifolds(comparison, ours, theirs),
        **levels,
        "swd/mean": np.mean(list(levels.values()), axis=0),
        "spectrum_db": np.array([spectrum_difference(*pair) for pair in means]),
    }


def of_shares(samples: Neighbours, val: Neighbours, config: EvaluateConfig) -> dict[str, Array]:
    """Replicates of shares of samples that are nearer to training pictures than held-out ones."""
    ours = drawn_counts("samples", len(samples.distances), config).astype(np.int64)
    theirs = drawn_counts("val", len(val.distances), config).astype(np.int64)
    pairs = [
        (samples.repeated(own), val.repeated(other))
        for own, other in zip(ours, theirs, strict=True)
    ]
    return {name: np.array([share(*pair) for pair in pairs]) for name, share in SHARES.items()}


def of_means(values: Mapping[str, Array], config: EvaluateConfig) -> dict[str, Array]:
    """Replicates of means over the held-out pictures, of one value for each."""
    sizes = {len(each) for each in values.values()}
    counts = {size: drawn_counts("val", size, config) for size in sizes}
    return {name: _means(each, counts[len(each)]) for name, each in values.items()}


def of_pairs(
    vectors: tuple[Array, Array], moments: tuple[Moments, Moments], config: EvaluateConfig
) -> Array:
    """Replicates of the Fréchet distance of held-out pictures from what was decoded of them, not
    yet centred.

    Args:
        vectors: Of what was decoded and of the pictures, one of each picture.
        moments: Of both.
        config: Number of replicates, and their seed.
    """
    counts = drawn_counts("val", len(vectors[0]), config)
    if _are_resampled(vectors):
        return _frechet(*vectors, counts, counts)
    return _to_first_order(_frechet_influences(vectors, moments), (counts, counts))


def centred(replicates: Array, score: float) -> Array:
    """`replicates` moved so that their mean is the score.

    A resampled set repeats some of its pictures, as if it were smaller, which makes most distances
    larger. That shift says nothing about how far they scatter.
    """
    return np.asarray(replicates - replicates.mean() + score)


def interval(replicates: Array) -> tuple[float, float]:
    """What 95 % of the replicates lie within."""
    low, high = np.percentile(replicates, (LOW, HIGH))
    return float(low), float(high)


def _of_views(comparison: Comparison, counts: Array, other_counts: Array) -> dict[str, Array]:
    found = {}
    for view in comparison.reference.views:
        pair = comparison.vectors(view)
        if _are_resampled(pair):
            # Crops of one picture are drawn together.
            drawn = (each.repeat(view.per_picture, axis=1) for each in (counts, other_counts))
            ours, theirs = drawn
            found[view.frechet] = _frechet(*pair, ours, theirs)
            found[view.kernel] = resampled_kernel_distances(*pair, ours, theirs)
            continue
        sets = comparison.judged, comparison.reference
        influences = {
            view.frechet: _frechet_influences(pair, [each.moments[view.name] for each in sets]),
            view.kernel: comparison.kernels[view.name].influences(),
        }
        for name, each in influences.items():
            found[name] = _to_first_order(each, (counts, other_counts), view.per_picture)
    return found


def _of_manifolds(comparison: Comparison, counts: Array, other_counts: Array) -> dict[str, Array]:
    """Of means over the drawn pictures, while all balls stay: a picture that is drawn twice would
    be its own nearest neighbour, and its ball empty."""
    return {
        f"{name}_{view}": _means(values, drawn)
        for view, scores in comparison.manifolds.items()
        for each, drawn in ((scores.of_judged, counts), (scores.of_reference, other_counts))
        for name, values in each.items()
    }


def _are_resampled(vectors: tuple[Array, Array]) -> bool:
    return max(each.size for each in vectors) <= MAX_RESAMPLED_VALUES


def _frechet_influences(
    vectors: tuple[Array, Array], moments: Sequence[Moments]
) -> tuple[Array, Array]:
    return (
        frechet_influences(vectors[0], moments[0], moments[1]),
        frechet_influences(vectors[1], moments[1], moments[0]),
    )


def _to_first_order(
    influences: tuple[Array, Array], counts: tuple[Array, Array], per_picture: int = 1
) -> Array:
    """How far each replicate lies from the score, by the influences of both sets' vectors."""
    moved = np.zeros(len(counts[0]))
    for each, drawn in zip(influences, counts, strict=True):
        of_pictures = each.reshape(-1, per_picture).sum(1) / len(each)
        moved += drawn[:, : len(of_pictures)] @ of_pictures
    return moved


def _frechet(first: Array, second: Array, counts: Array, other_counts: Array) -> Array:
    pairs = zip(counts, other_counts, strict=True)
    return np.array(
        [
            frechet_distance(Moments.counted(first, ours), Moments.counted(second, theirs))
            for ours, theirs in pairs
        ]
    )


def _means(values: Array, counts: Array) -> Array:
    """Mean over the drawn pictures of (N,) or (N, D), for each replicate."""
    return np.asarray(counts @ values / len(values))
