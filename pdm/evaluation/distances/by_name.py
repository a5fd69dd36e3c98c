"""Every distance between two sets of pictures, by name."""

import numpy as np

from pdm.config.evaluate import EvaluateConfig
from pdm.errors import QualityGate
from pdm.evaluation.distances.exact_moments import ExactMoments
from pdm.evaluation.distances.extrapolation import infinite_frechet_distance
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.kernel import kernel_distance
from pdm.evaluation.distances.moments import Array, Moments
from pdm.evaluation.distances.precision_recall import manifold_scores
from pdm.evaluation.distances.sliced_wasserstein import distances_by_level
from pdm.evaluation.distances.spectrum import spectrum_difference
from pdm.evaluation.features.summary import Summary
from pdm.evaluation.features.views import View


def distances(judged: Summary, reference: Summary, config: EvaluateConfig) -> dict[str, float]:
    """Distances of the judged set from the reference: name, such as `swd/level_16x32`, to value.

    Only values with the same reference and the same number of judged pictures may be compared.
    """
    levels = distances_by_level(
        judged.patches, reference.patches, config.num_projections, config.seed
    )
    found = {
        **{f"swd/{level}": value for level, value in levels.items()},
        "swd/mean": sum(levels.values()) / len(levels),
        "spectrum_db": spectrum_difference(judged.spectrum, reference.spectrum),
    }
    for view in reference.views:
        pair = judged.vectors[view.name], reference.vectors[view.name]
        found |= _of_view(view, *pair, config.seed)
    return found


def _of_view(view: View, ours: Array, theirs: Array, seed: int) -> dict[str, float]:
    kernel = kernel_distance(ours, theirs)
    found = {
        view.frechet: frechet_distance(moments_of(ours), moments_of(theirs)),
        view.kernel: kernel.value,
    }
    # Crops of one picture are alike: a jackknife over crops would take them for news.
    if kernel.deviation is not None and view.per_picture == 1:
        found[f"{view.kernel}_deviation"] = kernel.deviation
    if view.is_whole:
        found[f"{view.frechet}_infinite"] = infinite_frechet_distance(
            ours, theirs, view.per_picture, seed
        )
        manifolds = manifold_scores(ours, theirs)
        found |= {f"{name}_{view.name}": value for name, value in manifolds.items()}
    return found


def moments_of(vectors: Array) -> Moments:
    """Of (N, D) vectors, in the same bits whatever their order.

    Raises:
        QualityGate: They are too large, or spread too far, for exact sums.
    """
    exact = ExactMoments(vectors.shape[1])
    try:
        exact.add(np.asarray(vectors))
        return exact.moments()
    except ValueError as error:
        raise QualityGate(f"the Fréchet distance cannot be taken: {error}") from error
