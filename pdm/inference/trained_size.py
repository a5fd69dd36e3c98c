"""The size that a model was trained at, and what the sides of its images must be multiples of."""

from collections.abc import Mapping, Sequence
from typing import Any

from pdm.config.networks.latent_unet import SIDE_MULTIPLES
from pdm.models.levels.pyramid import Downsampling


def size_of(record: Mapping[str, Any]) -> tuple[int, int]:
    """Return the (H, W) in pixels that a model was trained at."""
    return record["image_height_px"], record["image_width_px"]


def side_multiple_of(record: Mapping[str, Any]) -> int:
    """Return the `side_multiple` of a model, from its `config.json`."""
    return side_multiple(record["level_downsamplings"], record["config"].get("name"))


def side_multiple(downsamplings: Sequence[Downsampling], name: str | None) -> int:
    """Return what the sides of an image in pixels must be multiples of, so that every level of its
    latents, and every resolution of the network, has whole cells.

    Args:
        downsamplings: Of the levels.
        name: Of LDM's network; None for the pyramid's, whose resolutions are those of its levels.
    """
    factor = max(int(one) for one in downsamplings if one != "global")
    return factor * (SIDE_MULTIPLES[name] if name else 1)
