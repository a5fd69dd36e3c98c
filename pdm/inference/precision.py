"""The precision of the networks' layers in sampling (`sample.precision`).

In bfloat16, convolutions, linear layers and attention compute in bfloat16, by autocast. What adds
up over steps or is seen in the end stays float32: times and their embedding, noise, guidance and
the sampler's steps, statistics of norms, and the convolutions that output velocities and pixels.
"""

import contextlib

import torch
from torch import Tensor

from pdm.config.stages.sample import SampleConfig
from pdm.diffusion.flow import Velocity
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Pyramid


def in_precision(velocity: Velocity, config: SampleConfig) -> Velocity:
    """Evaluate a network in the precision that the config asks for; results are float32."""
    if config.precision == "float32":
        return velocity

    def rounded(pyramid: Pyramid, t: Tensor) -> Pyramid:
        with torch.autocast(t.device.type, torch.bfloat16):
            velocities = velocity(pyramid, t)
        return tuple(level.float() for level in velocities)

    return rounded


def decoding_precision(
    autoencoder: Autoencoder, config: SampleConfig, device: torch.device
) -> contextlib.AbstractContextManager[object]:
    """Make the context to decode images in.

    Only the pyramid's decoder is used in bfloat16. The last layer of LDM's first stages would
    round images to half a grey level.
    """
    if config.precision == "float32" or not isinstance(autoencoder, PyramidAutoencoder):
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)
