"""LDM as diffusers' own `LDMPipeline`: same weights, same names, same pictures.

`LDMPipeline` draws without a condition from a network that predicts the noise. All that its
pictures depend on is in the configs of its folder: the scale of the latents in that of the first
stage, the noise schedule in that of the scheduler.
"""

import copy
from typing import Any, cast

import torch
from diffusers import DDIMScheduler, LDMPipeline
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from pdm.baselines.first_stage import FirstStage, KLFirstStage
from pdm.baselines.released_unets import HEADS
from pdm.baselines.unet_with_heads import UNetWithEightHeads
from pdm.baselines.unets import LatentUNet
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import LevelShape
from pdm.models.noise_schedule import NUM_STEPS, betas_of


def why_not_stock(
    autoencoder: Autoencoder, denoiser: Denoiser, level_shapes: tuple[LevelShape, ...]
) -> str | None:
    """Say why `LDMPipeline` cannot draw the pictures of these models; None if it can.

    Args:
        autoencoder: The first stage.
        denoiser: The diffusion model.
        level_shapes: Of the latents that it was trained on.
    """
    if not (isinstance(autoencoder, FirstStage) and isinstance(denoiser, LatentUNet)):
        return "diffusers has no network for a pyramid of latents"
    if sizes := denoiser.condition_sizes:
        if sizes.token_width:
            return "diffusers' LDM reads the padding of a text, which this network masks"
        return "diffusers' LDM takes no encoded image or map beside the latent"
    if denoiser.config.predicts != "noise":
        return "diffusers' LDMPipeline has no sampler for a network that predicts the velocity"
    (_, height, width) = level_shapes[0]
    if height != width:
        return f"diffusers' LDMPipeline draws squares only, not latents of {width}x{height}"
    if not isinstance(autoencoder, KLFirstStage) and autoencoder.config.latent_scale == "channel":
        return (
            "diffusers scales all channels of a quantised latent by one number, but this first "
            "stage was trained with latent_scale: channel"
        )
    return None


def stock_pipeline(
    autoencoder: Autoencoder, denoiser: Denoiser, level_shapes: tuple[LevelShape, ...]
) -> Any:
    """Make diffusers' `LDMPipeline` of models for which `why_not_stock` gives None.

    Args:
        autoencoder, denoiser: In evaluation mode; they are not changed.
        level_shapes: Of the latents that the denoiser was trained on.
    """
    assert isinstance(autoencoder, FirstStage)
    assert isinstance(denoiser, LatentUNet)
    unet = _stock_unet(denoiser, sample_size=level_shapes[0][1])
    beta_start, beta_end = betas_of(denoiser.config.name)
    scheduler = DDIMScheduler(
        num_train_timesteps=NUM_STEPS,
        beta_start=beta_start,
        beta_end=beta_end,
        beta_schedule="scaled_linear",
        prediction_type="epsilon",
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        steps_offset=0,
        clip_sample=False,
    )
    first_stage = _scaled_first_stage(autoencoder)
    pipeline: Any = LDMPipeline(vqvae=first_stage, unet=unet, scheduler=scheduler)
    return pipeline


def has_own_unet(denoiser: Denoiser) -> bool:
    """Whether the pipeline's UNet is `UNetWithEightHeads`, whose file its folder needs."""
    assert isinstance(denoiser, LatentUNet)
    return denoiser.config.name in HEADS and _head_width(denoiser) is None


def _stock_unet(denoiser: LatentUNet, sample_size: int) -> Any:
    network = cast(Any, denoiser.network)
    if has_own_unet(denoiser):
        unet = UNetWithEightHeads.from_config(network.config)
        unet.load_state_dict(network.state_dict())
    else:
        unet = copy.deepcopy(network)
        if denoiser.config.name in HEADS:
            unet.register_to_config(attention_head_dim=_head_width(denoiser))
    unet.register_to_config(sample_size=sample_size)
    return unet.eval()


def _head_width(denoiser: LatentUNet) -> int | None:
    """Return the channels of each head, if all attention layers have equal ones."""
    found = {
        module.inner_dim // module.heads
        for module in denoiser.modules()
        if isinstance(module, Attention)
    }
    return found.pop() if len(found) == 1 else None


def _scaled_first_stage(autoencoder: FirstStage) -> Any:
    """Return diffusers' first stage, with the scale of the latents in `scaling_factor`.

    Where each channel has its own mean and scale, these go into the 1x1 convolutions between which
    the latent lies, and `scaling_factor` is 1.
    """
    network = copy.deepcopy(autoencoder.network)
    mean, std = autoencoder.get_buffer("mean_0"), autoencoder.get_buffer("std_0")
    if autoencoder.config.latent_scale == "scalar":
        network.register_to_config(scaling_factor=1 / float(std[0]))
        return network
    network.register_to_config(scaling_factor=1.0)
    _standardise_latent(network.quant_conv, network.post_quant_conv, mean, std)
    return network


@torch.no_grad()
def _standardise_latent(before: nn.Conv2d, after: nn.Conv2d, mean: Tensor, std: Tensor) -> None:
    """Make the latent between two 1x1 convolutions (x - mean) / std, and undo it after.

    The first gives means and log-variances, one after the other.
    """
    assert before.bias is not None
    assert after.bias is not None
    channels = len(mean)
    before.weight[:channels] /= std.view(-1, 1, 1, 1)
    before.bias[:channels] = (before.bias[:channels] - mean) / std
    before.bias[channels:] -= 2 * std.log()
    after.bias += after.weight[:, :, 0, 0] @ mean
    after.weight *= std.view(1, -1, 1, 1)
