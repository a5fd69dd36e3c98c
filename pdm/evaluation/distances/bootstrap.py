"""How far a score would move with other pictures of the same kind: bootstrap replicates.

A replicate is the score of as many pictures, drawn again from the same sets with repeats (Efron and
Tibshirani, 1993). Pictures are resampled, not patches: those of one picture are not independent.

The b-th replicate of every run on the same held-out pictures with the same seed resamples them the
same way, and the i-th sample and the i-th training picture likewise. So what the choice of pictures
does to two runs alike cancels in the difference of their replicates, whose percentiles are the
interval of the difference of the runs.
"""

from collections.abc import Mapping

import numpy as np

from pdm.config.evaluate import EvaluateConfig
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.kernel import resampled_kernel_distances
from pdm.evaluation.distances.moments import Array, Moments
from pdm.evaluation.distances.sliced_wasserstein import resampled_sliced_wasserstein
from pdm.evaluation.distances.spectrum import spectrum_difference
from pdm.evaluation.features.summary import Summary
from pdm.evaluation.neighbours import SHARES, Neighbours

STREAMS = {"val": 0, "samples": 1, "train": 2}  # of random numbers, one for each set
LOW, HIGH = 2.5, 97.5  # percentiles of the intervals


def drawn_counts(name: str, num_pictures: int, config: EvaluateConfig) -> Array:
    """How often each picture of a set is drawn in each replicate, (num_replicates, num_pictures).

    Rows sum to `num_pictures`. They follow from the set's name, its size and the seed alone.
    """
    random = np.random.default_rng([config.seed, STREAMS[name]])
    chances = np.full(num_pictures, 1 / num_pictures)
    return random.multinomial(num_pictures, chances, size=config.num_replicates).astype(np.float64)


def of_distances(judged: Summary, reference: Summary, config: EvaluateConfig) -> dict[str, Array]:
    """Replicates of what `distances` gives, by the same names, not yet centred."""
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
        **_of_views(judged, reference, ours, theirs),
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
    return {
        name: _means(each, drawn_counts("val", len(each), config)) for name, each in values.items()
    }


def of_pairs(decoded: Array, pictures: Array, config: EvaluateConfig) -> Array:
    """Replicates of the Fréchet distance of held-out pictures from what was decoded of them."""
    counts = drawn_counts("val", len(pictures), config)
    return _frechet(decoded, pictures, counts, counts)


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


def _of_views(
    judged: Summary, reference: Summary, counts: Array, other_counts: Array
) -> dict[str, Array]:
    found = {}
    for view in reference.views:
        pair = judged.vectors[view.name], reference.vectors[view.name]
        # Crops of one picture are drawn together.
        drawn = (each.repeat(view.per_picture, axis=1) for each in (counts, other_counts))
        ours, theirs = drawn
        found[view.frechet] = _frechet(*pair, ours, theirs)
        found[view.kernel] = resampled_kernel_distances(*pair, ours, theirs)
    return found


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
