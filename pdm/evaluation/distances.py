"""Every distance between two sets of pictures, by name."""

from pdm.config.evaluate import EvaluateConfig
from pdm.evaluation import features
from pdm.evaluation.frechet import frechet_distance
from pdm.evaluation.kernel import kernel_distance
from pdm.evaluation.moments import Moments
from pdm.evaluation.sliced_wasserstein import distances_by_level
from pdm.evaluation.spectrum import spectrum_difference
from pdm.evaluation.summary import Summary

FRECHET = f"frechet_{features.NAME}"
KERNEL = f"kernel_{features.NAME}"


def distances(judged: Summary, reference: Summary, config: EvaluateConfig) -> dict[str, float]:
    """Distances of the judged set from the reference: name, such as `swd/level_16x32`, to value.

    Only values with the same reference and the same number of judged pictures may be compared.
    """
    ours, theirs = judged.compared_features, reference.compared_features
    kernel = kernel_distance(ours, theirs)
    levels = distances_by_level(
        judged.patches, reference.patches, config.num_projections, config.seed
    )
    found = {
        FRECHET: frechet_distance(Moments.of(ours), Moments.of(theirs)),
        KERNEL: kernel.value,
        **{f"swd/{level}": value for level, value in levels.items()},
        "swd/mean": sum(levels.values()) / len(levels),
        "spectrum_db": spectrum_difference(judged.spectrum, reference.spectrum),
    }
    if kernel.deviation is not None:
        found[f"{KERNEL}_deviation"] = kernel.deviation
    return found
