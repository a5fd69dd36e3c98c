"""How much of each level of a pyramid the coarser levels already say.

The redundancy of a level is the share of its variance that a linear map from the coarser levels
explains. A map is fitted by ridge regression on training pictures and scored on held-out ones;
`pdm.models.levels.prediction` says what it sees.
"""

from collections.abc import Iterable

from pdm.models.levels.prediction import regression_inputs, regression_targets
from pdm.models.levels.pyramid import Pyramid
from pdm.training.latent_space.regression import Regression

RIDGES = (1e-3, 1e-2, 1e-1, 1.0)  # the one that explains most counts
MIN_VARIANCE = 1e-12


def redundancies(training: Iterable[Pyramid], held_out: Iterable[Pyramid]) -> list[float]:
    """Return the redundancy of each level, coarse to fine; 0 for the first.

    Args:
        training: Batches of latents to fit the maps on, on the CPU.
        held_out: Batches of latents to score them on.

    Returns:
        Shares from 0 to 1, on held-out pictures. Few training pictures underestimate them.

    Raises:
        ValueError: There is no picture in one of the two.
    """
    fit, test = _regressions(training), _regressions(held_out)
    return [0.0, *(_explained(one, other) for one, other in zip(fit, test, strict=True))]


def _regressions(batches: Iterable[Pyramid]) -> list[Regression]:
    """One for each level but the first."""
    totals: list[Regression] | None = None
    for pyramid in batches:
        parts = [
            Regression.of(
                regression_inputs(pyramid[:index], level),
                regression_targets(pyramid[:index], level),
            )
            for index, level in enumerate(pyramid)
            if index
        ]
        totals = [a + b for a, b in zip(totals, parts, strict=True)] if totals else parts
    if totals is None:
        raise ValueError("redundancy needs at least one image to fit and one to score")
    return totals


def _explained(fit: Regression, test: Regression) -> float:
    if test.variance < MIN_VARIANCE:
        return 0.0
    errors = [test.error(fit.weights(ridge)) for ridge in RIDGES]
    return max(0.0, 1 - min(errors) / test.variance)
