"""One door to every denoising network: made by a config, loaded from whatever model folder.

diffusers is imported only where a network of LDM is asked for: it takes seconds.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from pdm import weights
from pdm.config.diffusion import DiffusionConfig
from pdm.errors import BadInput
from pdm.models.pyramid import Downsampling
from pdm.models.unet import PyramidUNet

if TYPE_CHECKING:
    from pdm.baselines.unets import LatentUNet

    Network = PyramidUNet | LatentUNet


def build_network(
    config: DiffusionConfig, channels: tuple[int, ...], downsamplings: tuple[Downsampling, ...]
) -> "Network":
    """The network that a config names, with random weights."""
    if config.baseline is None:
        return PyramidUNet(config.model, channels, downsamplings)
    from pdm.baselines.unets import LatentUNet

    return LatentUNet(config.baseline, channels, downsamplings)


def load_network(folder: Path) -> "Network":
    """Load a model folder, on the CPU and in evaluation mode.

    Raises:
        BadInput: It is missing or damaged, or holds no denoising network.
    """
    kind = weights.record_of(folder).get("kind")
    if kind == PyramidUNet.__name__:
        return PyramidUNet.from_pretrained(folder)
    from pdm.baselines.unets import LatentUNet

    if kind == LatentUNet.__name__:
        return LatentUNet.from_pretrained(folder)
    raise BadInput(f"{folder} holds a {kind}, which draws no pictures; name another folder")
