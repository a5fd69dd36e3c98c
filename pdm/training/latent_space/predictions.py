"""Fitting the linear predictions that `residual_levels` subtracts from the latents."""

from collections.abc import Sequence
from functools import reduce
from operator import add

from torch import Tensor

from pdm.models.autoencoder import FIRST_PREDICTED
from pdm.models.prediction import cells_of, neighbourhoods, predict_level
from pdm.models.pyramid import Pyramid
from pdm.training.latent_space.regression import Regression

RIDGE = 1e-2  # keeps predictions from following the few training pictures


def fit_predictions(latents: Sequence[Pyramid]) -> list[Tensor]:
    """Fit the prediction of each level from the third on by the coarser levels' residuals.

    Args:
        latents: Batches of training latents, not standardised, on the CPU.

    Returns:
        Weights for `predict_level`, one for each level from `FIRST_PREDICTED` on, in float32. They
        have no constant: the mean of the residuals is among the statistics.
    """
    residuals = [pyramid[:FIRST_PREDICTED] for pyramid in latents]
    fitted = []
    for index in range(FIRST_PREDICTED, len(latents[0])):
        parts = (
            Regression.of(neighbourhoods(own), cells_of(pyramid[index], own[-1]))
            for own, pyramid in zip(residuals, latents, strict=True)
        )
        weights = reduce(add, parts).weights(RIDGE)[:-1].float()
        fitted.append(weights)
        residuals = [
            (*own, pyramid[index] - predict_level(own, weights, pyramid[index].shape[1]))
            for own, pyramid in zip(residuals, latents, strict=True)
        ]
    return fitted
