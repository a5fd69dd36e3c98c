"""Checks that the data have the conditions that a denoising network takes."""

import logging

import torch
from torch import Tensor

from pdm.config.diffusion import DiffusionConfig
from pdm.data import classes
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.training.loop.seeds import uniform_at

logger = logging.getLogger(__name__)
KEY = "diffusion.model.condition"
NONE = (
    "sort the pictures of a folder source into a folder for each class, or name a class_column, "
    "and run from the stage 'scrape' on; or set num_classes: 0"
)


def has_classes(config: DiffusionConfig) -> bool:
    """Whether the network takes a class."""
    condition = config.condition
    return condition is not None and condition.num_classes > 0


def check_classes(config: DiffusionConfig, latents: LatentShards) -> None:
    """Compare the config with the latents' classes, and log the number of pictures of each class.

    Raises:
        BadInput: The network takes a condition that the data lack, or another number of classes.
    """
    condition = config.condition
    if condition is None:
        return
    for name in ("token_width", "map_channels"):
        if getattr(condition, name):
            raise BadInput(f"{KEY}.{name}: the data have no such condition yet; set it to 0")
    if not condition.num_classes:
        return
    names = latents.classes
    if not names:
        raise BadInput(
            f"{KEY}.num_classes is {condition.num_classes}, but no picture has a class; {NONE}"
        )
    if len(names) != condition.num_classes:
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        raise BadInput(
            f"{KEY}.num_classes is {condition.num_classes}, but the latents have {len(names)}: "
            f"{shown}"
        )
    counts_text = classes.describe_counts(latents.labels, names)
    logger.info("diffusion: %s pictures of the classes %s", latents.split, counts_text)


def drop_labels(labels: Tensor, config: DiffusionConfig, positions: range) -> Tensor:
    """Replace a share of the labels (B,) by "no class", chosen by position."""
    assert config.condition is not None
    numbers = uniform_at(config.training.seed, positions, "condition")
    no_label = torch.full_like(labels, config.condition.num_classes)
    return torch.where(numbers < config.condition_dropout, no_label, labels)
