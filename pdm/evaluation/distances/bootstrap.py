"""Bootstrap replicates of scores: how much a score would vary with other pictures of the same kind.

A replicate is the score of sets of the same sizes, drawn from the pictures with replacement (Efron
and Tibshirani, 1993). Pictures are resampled, not patches or crops: those of one picture are not
independent.

For all runs with the same held-out pictures and seed, the b-th replicate draws the same held-out
pictures, and samples and training pictures at the same indices. So effects of the choice of
pictures that two runs share cancel in the differences of their replicates. The percentiles of these
differences are the interval of the difference of the runs.

Fréchet and kernel distances are computed on the resampled sets if a set has up to
`MAX_RESAMPLED_VALUES` values (vectors times their length) and all vectors together span at most
`MAX_RESAMPLED_DIRECTIONS`. For larger sets they are approximated to first order: the score plus the
influence of each drawn vector. That takes one pass instead of one for each replicate, and is
equally close to the true scatter (docs/precision.md).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.influence import frechet_influences
from pdm.evaluation.distances.kernel import kernel_sums, resampled_kernel_distances
from pdm.evaluation.distances.moments import Array, Moments
from pdm.evaluation.distances.set_pairs import SetPair
from pdm.evaluation.distances.sliced_wasserstein import resampled_sliced_wasserstein
from pdm.evaluation.distances.spectrum import spectrum_difference
from pdm.evaluation.memorisation.neighbours import SHARES, Neighbours

STREAMS = {"val": 0, "samples": 1, "train": 2}  # streams of random numbers, one for each set
LOW, HIGH = 2.5, 97.5  # percentiles of the intervals
MAX_RESAMPLED_VALUES = 2**20  # 16,384 vectors of 64 features
MAX_RESAMPLED_DIRECTIONS = 256  # a replicate of 1,000 directions takes a second


def resample_counts(name: str, num_pictures: int, config: EvaluateConfig) -> Array:
    """Draw how often each picture occurs in each replicate, (num_replicates, num_pictures).

    Rows sum to `num_pictures`. They depend only on the set's name, its size and the seed.
    """
    random = np.random.default_rng([config.seed, STREAMS[name]])
    chances = np.full(num_pictures, 1 / num_pictures)
    return random.multinomial(num_pictures, chances, size=config.num_replicates).astype(np.float64)


def distance_replicates(pair: SetPair, config: EvaluateConfig) -> dict[str, Array]:
    """Compute replicates of the results of `compute_distances`, by the same names, not yet
    centred."""
    judged, reference = pair.judged, pair.reference
    counts = (
        resample_counts(judged.name, len(judged.compared), config),
        resample_counts(reference.name, len(reference.compared), config),
    )
    levels = {
        f"swd/{level}": resampled_sliced_wasserstein(
            (judged.patches[level], reference.patches[level]),
            counts,
            config.patches_per_image,
            config.num_projections,
            config.seed,
        )
        for level in reference.patches
    }
    spectra = zip(
        _means(judged.spectra, counts[0]), _means(reference.spectra, counts[1]), strict=True
    )
    return {
        **_feature_replicates(pair, counts),
        **_manifold_replicates(pair, counts),
        **levels,
        "swd/mean": np.mean(list(levels.values()), axis=0),
        "spectrum_db": np.array([spectrum_difference(*both) for both in spectra]),
    }


def share_replicates(
    samples: Neighbours, val: Neighbours, config: EvaluateConfig
) -> dict[str, Array]:
    """Compute replicates of the shares of samples nearer to a training picture than held-out
    pictures."""
    counts = resample_counts("samples", len(samples.distances), config).astype(np.int64)
    val_counts = resample_counts("val", len(val.distances), config).astype(np.int64)
    resampled = [
        (samples.repeat(ours), val.repeat(theirs))
        for ours, theirs in zip(counts, val_counts, strict=True)
    ]
    return {name: np.array([share(*each) for each in resampled]) for name, share in SHARES.items()}


def mean_replicates(values: Mapping[str, Array], config: EvaluateConfig) -> dict[str, Array]:
    """Compute replicates of means over held-out pictures, from one value for each picture."""
    sizes = {len(each) for each in values.values()}
    counts = {size: resample_counts("val", size, config) for size in sizes}
    return {name: _means(each, counts[len(each)]) for name, each in values.items()}


def paired_replicates(
    vectors: tuple[Array, Array], moments: tuple[Moments, Moments], config: EvaluateConfig
) -> Array:
    """Compute replicates of the Fréchet distance of reconstructions from their held-out pictures,
    not yet centred.

    Args:
        vectors: Vectors of the reconstructions and of the pictures, one for each picture.
        moments: Moments of both.
        config: Number of replicates, and their seed.
    """
    counts = resample_counts("val", len(vectors[0]), config)
    if _is_resampled(vectors):
        return _resampled_frechet(vectors, (counts, counts))
    return _first_order(_frechet_influences(vectors, moments), (counts, counts))


def decoded_kernel_replicates(decoded: Array, train: Array, config: EvaluateConfig) -> Array:
    """Replicates of the kernel distance of reconstructions of held-out pictures from training
    pictures, not yet centred.

    Args:
        decoded, train: One vector of each picture.
        config: Number of replicates, and their seed.
    """
    counts = (
        resample_counts("val", len(decoded), config),
        resample_counts("train", len(train), config),
    )
    if _is_resampled((decoded, train)):
        return resampled_kernel_distances(decoded, train, *counts)
    return _first_order(kernel_sums(decoded, train).influences(), counts)


def centre(replicates: Array, score: float) -> Array:
    """Move replicates so that their mean is the score.

    A resampled set repeats some of its pictures, as if it were smaller, which makes most distances
    larger. That shift says nothing about their scatter.
    """
    return np.asarray(replicates - replicates.mean() + score)


def interval(replicates: Array) -> tuple[float, float]:
    """Return the ends of the interval that contains 95 % of the replicates."""
    low, high = np.percentile(replicates, (LOW, HIGH))
    return float(low), float(high)


def _feature_replicates(pair: SetPair, counts: tuple[Array, Array]) -> dict[str, Array]:
    """Compute replicates of Fréchet and kernel distance in each feature space."""
    replicates = {}
    for space in pair.reference.spaces:
        vectors = pair.vectors(space)
        if _is_resampled(vectors):
            # Crops of one picture are drawn together.
            first, second = (each.repeat(space.per_picture, axis=1) for each in counts)
            replicates[space.frechet_name] = _resampled_frechet(vectors, (first, second))
            replicates[space.kernel_name] = resampled_kernel_distances(*vectors, first, second)
            continue
        moments = [each.moments[space.name] for each in (pair.judged, pair.reference)]
        for name, influences in (
            (space.frechet_name, _frechet_influences(vectors, moments)),
            (space.kernel_name, pair.kernels[space.name].influences()),
        ):
            replicates[name] = _first_order(influences, counts, space.per_picture)
    return replicates


def _manifold_replicates(pair: SetPair, counts: tuple[Array, Array]) -> dict[str, Array]:
    """Compute replicates of precision, recall, density and coverage, with the balls of the original
    sets: a picture drawn twice would be its own nearest neighbour, with an empty ball."""
    return {
        f"{name}_{space}": _means(values, resampled)
        for space, scores in pair.manifolds.items()
        for each, resampled in zip((scores.of_judged, scores.of_reference), counts, strict=True)
        for name, values in each.items()
    }


def _is_resampled(vectors: tuple[Array, Array]) -> bool:
    """Whether the sets are small enough for distances of resampled sets."""
    directions = min(vectors[0].shape[1], sum(map(len, vectors)))
    return (
        max(each.size for each in vectors) <= MAX_RESAMPLED_VALUES
        and directions <= MAX_RESAMPLED_DIRECTIONS
    )


def _frechet_influences(
    vectors: tuple[Array, Array], moments: Sequence[Moments]
) -> tuple[Array, Array]:
    return (
        frechet_influences(vectors[0], moments[0], moments[1]),
        frechet_influences(vectors[1], moments[1], moments[0]),
    )


def _first_order(
    influences: tuple[Array, Array], counts: tuple[Array, Array], per_picture: int = 1
) -> Array:
    """Compute the difference of each replicate from the score, by the influences of all vectors."""
    difference = np.zeros(len(counts[0]))
    for each, resampled in zip(influences, counts, strict=True):
        of_pictures = each.reshape(-1, per_picture).sum(1) / len(each)
        difference += resampled[:, : len(of_pictures)] @ of_pictures
    return difference


def _resampled_frechet(vectors: tuple[Array, Array], counts: tuple[Array, Array]) -> Array:
    vectors = _in_their_span(*vectors)
    return np.array(
        [
            frechet_distance(Moments.counted(vectors[0], ours), Moments.counted(vectors[1], theirs))
            for ours, theirs in zip(*counts, strict=True)
        ]
    )


def _in_their_span(first: Array, second: Array) -> tuple[Array, Array]:
    """Rotate vectors into the space that all of them span, which has fewer dimensions where there
    are fewer vectors than features. It changes no Fréchet distance of any of them."""
    everything = np.concatenate([first, second])
    if len(everything) >= first.shape[1]:
        return first, second
    directions, _ = np.linalg.qr(everything.T)
    return first @ directions, second @ directions


def _means(values: Array, counts: Array) -> Array:
    """Average (N,) or (N, D) values over the resampled pictures, for each replicate."""
    return np.asarray(counts @ values / len(values))
