"""Fitting the linear predictions that `residual_levels` subtracts from the latents."""

from collections.abc import Sequence
from functools import reduce
from operator import add

from torch import Tensor

from pdm.models.levels.prediction import regression_inputs, regression_targets
from pdm.models.levels.pyramid import Pyramid
from pdm.training.latent_space.regression import Regression

# Small, since what it leaves of the predictable part stays in the residual; not smaller, since the
# weights, and with them the errors of sampled coarse levels, grow as it falls.
RIDGE = 3e-4


def fit_predictions(latents: Sequence[Pyramid]) -> list[Tensor]:
    """Fit the prediction of each level from the second on by the coarser levels.

    Args:
        latents: Batches of training latents, not standardised, on the CPU.

    Returns:
        Weights for `predict_level`, one for each level but the first, in float32. They have no
        constant: the mean of the residuals is among the statistics.
    """
    return [_fit(latents, index) for index in range(1, len(latents[0]))]


def _fit(latents: Sequence[Pyramid], index: int) -> Tensor:
    parts = (
        Regression.of(
            regression_inputs(pyramid[:index], pyramid[index]),
            regression_targets(pyramid[:index], pyramid[index]),
        )
        for pyramid in latents
    )
    return reduce(add, parts).weights(RIDGE)[:-1].float()
