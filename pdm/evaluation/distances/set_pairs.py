"""Computes all distances of one set of pictures from another, by name."""

from dataclasses import dataclass
from functools import cached_property

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.evaluation.distances.extrapolation import infinite_frechet_distance
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.kernel import MAX_VECTORS, KernelSums, kernel_sums
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.distances.precision_recall import ManifoldScores, manifold_scores
from pdm.evaluation.distances.sliced_wasserstein import distances_by_level
from pdm.evaluation.distances.spectrum import spectrum_difference
from pdm.evaluation.features.feature_spaces import FeatureSpace
from pdm.evaluation.features.summary import Summary


@dataclass(frozen=True)
class SetPair:
    """A set of pictures, and the reference it is compared with."""

    judged: Summary
    reference: Summary

    def vectors(self, space: FeatureSpace) -> tuple[Array, Array]:
        """Return the vectors of both sets in a feature space."""
        return self.judged.vectors[space.name], self.reference.vectors[space.name]

    @cached_property
    def kernels(self) -> dict[str, KernelSums]:
        """Sums of the kernel by feature space; of very large sets, those of the first pictures."""
        sums = {}
        for space in self.reference.spaces:
            limit = MAX_VECTORS // space.per_picture * space.per_picture
            first, second = self.vectors(space)
            sums[space.name] = kernel_sums(first[:limit], second[:limit])
        return sums

    @cached_property
    def manifolds(self) -> dict[str, ManifoldScores]:
        """Precision, recall, density and coverage, by feature space of whole pictures."""
        spaces = (space for space in self.reference.spaces if space.of_whole_pictures)
        return {space.name: manifold_scores(*self.vectors(space)) for space in spaces}


def compute_distances(pair: SetPair, config: EvaluateConfig) -> dict[str, float]:
    """Compute the distances of the judged set from the reference, by names such as
    `swd/level_16x32`.

    Compare only values with the same reference and the same number of judged pictures.
    """
    judged, reference = pair.judged, pair.reference
    levels = distances_by_level(
        judged.patches, reference.patches, config.num_projections, config.seed
    )
    distances = {
        **{f"swd/{level}": value for level, value in levels.items()},
        "swd/mean": sum(levels.values()) / len(levels),
        "spectrum_db": spectrum_difference(judged.spectrum, reference.spectrum),
    }
    for space in reference.spaces:
        distances |= _distances_in(space, pair, config.seed)
    return distances


def _distances_in(space: FeatureSpace, pair: SetPair, seed: int) -> dict[str, float]:
    kernel = pair.kernels[space.name].distance()
    moments = (each.moments[space.name] for each in (pair.judged, pair.reference))
    distances = {space.frechet_name: frechet_distance(*moments), space.kernel_name: kernel.value}
    # A jackknife over crops would treat crops of one picture as independent.
    if kernel.deviation is not None and space.per_picture == 1:
        distances[f"{space.kernel_name}_deviation"] = kernel.deviation
    if space.of_whole_pictures:
        ours, theirs = pair.vectors(space)
        distances[f"{space.frechet_name}_infinite"] = infinite_frechet_distance(
            ours, theirs, space.per_picture, seed
        )
        manifolds = pair.manifolds[space.name].values()
        distances |= {f"{name}_{space.name}": value for name, value in manifolds.items()}
    return distances
