"""Tells drawings from photographs: a logistic regression on `Features`.

Its coefficients are in the file beside this one. `benchmarks/drawings.py` trained them on
photographs, drawings, rendered wallpapers, paintings and screenshots from some fifty packages,
which the file lists, and cross-validated them with whole packages held out; see
`docs/decisions/drawings.md`.
"""

import json
import math
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdm.curation.curate.scores.features import Features
from pdm.errors import BadInput
from pdm.files import sha256_of

HEAD = Path(__file__).with_name("drawing_head.json")
SHA256 = "cd84cef883585599eaaf1f0f966f4bae91542840f52e38b15ccb89025bb7fd05"
MAX_LOGIT = 50.0


def drawing_likeness(features: Features) -> float:
    """From 0, a photograph, to 1, a drawing.

    Raises:
        BadInput: The file of coefficients is not that of this version.
    """
    weights, bias = _head()
    logit = float(weights @ inputs_of(features)) + bias
    return 1 / (1 + math.exp(-max(-MAX_LOGIT, min(MAX_LOGIT, logit))))


def load_head() -> None:
    """Load the coefficients before the first picture, whose time is limited.

    Raises:
        BadInput: As `drawing_likeness`.
    """
    _head()


def inputs_of(features: Features) -> NDArray[np.float64]:
    """(1632,): the inputs of the regression. Roots make the pooled features less skewed."""
    return np.concatenate([np.sqrt(features.pooled), features.textures]).astype(np.float64)


@lru_cache(maxsize=1)
def _head() -> tuple[NDArray[np.float64], float]:
    if (actual := sha256_of(HEAD)) != SHA256:
        raise BadInput(f"{HEAD} has sha256 {actual}, not {SHA256}; install the project again")
    head = json.loads(HEAD.read_text(encoding="utf-8"))
    return np.array(head["weights"]), float(head["bias"])
