"""Every distance between two sets of pictures, by name."""

from dataclasses import dataclass
from functools import cached_property

from pdm.config.evaluate import EvaluateConfig
from pdm.evaluation.distances.extrapolation import infinite_frechet_distance
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.kernel import MAX_VECTORS, KernelSums, kernel_sums
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.distances.precision_recall import ManifoldScores, manifold_scores
from pdm.evaluation.distances.sliced_wasserstein import distances_by_level
from pdm.evaluation.distances.spectrum import spectrum_difference
from pdm.evaluation.features.summary import Summary
from pdm.evaluation.features.views import View


@dataclass(frozen=True)
class Comparison:
    """A set of pictures and the reference that it is judged by."""

    judged: Summary
    reference: Summary

    def vectors(self, view: View) -> tuple[Array, Array]:
        """Of both sets."""
        return self.judged.vectors[view.name], self.reference.vectors[view.name]

    @cached_property
    def kernels(self) -> dict[str, KernelSums]:
        """What kernel distances follow from, by view; of the first pictures of very large sets."""
        found = {}
        for view in self.reference.views:
            limit = MAX_VECTORS // view.per_picture * view.per_picture
            first, second = self.vectors(view)
            found[view.name] = kernel_sums(first[:limit], second[:limit])
        return found

    @cached_property
    def manifolds(self) -> dict[str, ManifoldScores]:
        """Precision, recall, density and coverage, by view of whole pictures."""
        views = (view for view in self.reference.views if view.is_whole)
        return {view.name: manifold_scores(*self.vectors(view)) for view in views}


def distances(comparison: Comparison, config: EvaluateConfig) -> dict[str, float]:
    """Distances of the judged set from the reference: name, such as `swd/level_16x32`, to value.

    Only values with the same reference and the same number of judged pictures may be compared.
    """
    judged, reference = comparison.judged, comparison.reference
    levels = distances_by_level(
        judged.patches, reference.patches, config.num_projections, config.seed
    )
    found = {
        **{f"swd/{level}": value for level, value in levels.items()},
        "swd/mean": sum(levels.values()) / len(levels),
        "spectrum_db": spectrum_difference(judged.spectrum, reference.spectrum),
    }
    for view in reference.views:
        found |= _of_view(view, comparison, config.seed)
    return found


def _of_view(view: View, comparison: Comparison, seed: int) -> dict[str, float]:
    kernel = comparison.kernels[view.name].distance()
    moments = (each.moments[view.name] for each in (comparison.judged, comparison.reference))
    found = {view.frechet: frechet_distance(*moments), view.kernel: kernel.value}
    # Crops of one picture are alike: a jackknife over crops would take them for news.
    if kernel.deviation is not None and view.per_picture == 1:
        found[f"{view.kernel}_deviation"] = kernel.deviation
    if view.is_whole:
        ours, theirs = comparison.vectors(view)
        found[f"{view.frechet}_infinite"] = infinite_frechet_distance(
            ours, theirs, view.per_picture, seed
        )
        manifolds = comparison.manifolds[view.name].values()
        found |= {f"{name}_{view.name}": value for name, value in manifolds.items()}
    return found
