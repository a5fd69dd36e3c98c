"""LDM's denoising networks (Rombach et al., arXiv:2112.10752), built from diffusers' blocks.

`published` builds any of the released configurations, with their exact numbers of parameters, their
attention heads and the initial weights of LDM's code. `LatentUNet` puts those without
cross-attention behind the interface of the pyramid UNet, for a pyramid of one level; what a task
gives stands beside the latent, as in LDM. It trains in the same trainer
and is sampled by the same samplers, whether it predicts the noise, as published, or the velocity of
our flow, as a stronger baseline.
"""

from pathlib import Path
from typing import Any, Self, cast

import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn
from torch.nn import functional as F

from pdm import weights
from pdm.baselines.initialisation import initialise_as_ldm
from pdm.baselines.unet_with_heads import NUM_HEADS, set_num_heads
from pdm.config.condition import ConditionConfig
from pdm.config.latent_unet import SIDE_MULTIPLES, LatentUNetConfig
from pdm.config.records import from_record
from pdm.models.condition import NO_CONDITION, Condition
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import Downsampling, Pyramid
from pdm.models.noise_schedule import NUM_STEPS, betas_of, step_times
from pdm.models.text import TextLayer, TextTransformer, read_text

CROSS = {"down": "CrossAttnDownBlock2D", "up": "CrossAttnUpBlock2D"}
ATTENDING = {"down": "AttnDownBlock2D", "up": "AttnUpBlock2D"}
PLAIN = {"down": "DownBlock2D", "up": "UpBlock2D"}
RESAMPLING = {"down": "ResnetDownsampleBlock2D", "up": "ResnetUpsampleBlock2D"}
RESNET: dict[str, Any] = {"downsample_type": "resnet", "upsample_type": "resnet"}


def published(name: str) -> nn.Module:
    """Build a released network with random weights, by the name of its configuration.

    One of celeba (also ffhq and beds), churches, inpainting_big, bsr_sr, semantic; conditional:
    cin256, cin256-v2, txt2img, layout (of OpenImages).
    """
    return build_unet(RELEASED[name], num_heads=HEADS.get(name))


def build_unet(settings: dict[str, Any], num_heads: int | None = None) -> nn.Module:
    """Build a network of diffusers with LDM's initial weights.

    Args:
        settings: Arguments of `UNet2DConditionModel` if they have a `cross_attention_dim`, else of
            `UNet2DModel`.
        num_heads: Heads of every self-attention block, whatever its width; `UNet2DModel` itself
            only takes a number of channels per head.
    """
    kind: Any = UNet2DConditionModel if "cross_attention_dim" in settings else UNet2DModel
    network: nn.Module = kind(**settings)
    if num_heads:
        set_num_heads(network, num_heads)
    initialise_as_ldm(network)
    return network


def _blocks(*kinds: dict[str, str]) -> dict[str, list[str]]:
    """List the types of the blocks, from the finest resolution to the coarsest."""
    return {
        "down_block_types": [kind["down"] for kind in kinds],
        "up_block_types": [kind["up"] for kind in reversed(kinds)],
    }


def _celeba(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 3, 4)],
        "attention_head_dim": 32,
        **_blocks(PLAIN, ATTENDING, ATTENDING, ATTENDING),
    }


def _churches(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 2, 4, 4)],
        "resnet_time_scale_shift": "scale_shift",
        **RESNET,
        **_blocks(*[ATTENDING] * 4, RESAMPLING),
    }


def _inpainting_big(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 3, 4)],
        **RESNET,
        **_blocks(RESAMPLING, ATTENDING, ATTENDING, ATTENDING),
    }


def _bsr_sr(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 2, 4)],
        "attention_head_dim": 32,
        **_blocks(PLAIN, PLAIN, PLAIN, ATTENDING),
    }


def _semantic(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 4, 8)],
        **_blocks(PLAIN, PLAIN, PLAIN),
    }


def _txt2img(width: int) -> dict[str, Any]:
    return {
        "block_out_channels": [width * factor for factor in (1, 2, 4, 4)],
        "attention_head_dim": 8,  # here, the number of heads
        **_blocks(CROSS, CROSS, CROSS, PLAIN),
    }


def _layout(width: int) -> dict[str, Any]:
    widths = [width * factor for factor in (1, 2, 3, 4)]
    return {
        "block_out_channels": widths,
        "attention_head_dim": [one // 32 for one in widths],  # here, the number of heads
        "transformer_layers_per_block": 3,
        **_blocks(PLAIN, CROSS, CROSS, CROSS),
    }


DESIGNS = {
    "celeba": _celeba,
    "churches": _churches,
    "inpainting_big": _inpainting_big,
    "bsr_sr": _bsr_sr,
    "semantic": _semantic,
    "txt2img": _txt2img,
    "layout": _layout,
}
MAP_CHANNELS = 3  # of maps beside the latent: LDM's 1x1 convolution takes 182 classes to 3
HEADS = dict.fromkeys(("churches", "inpainting_big", "semantic"), NUM_HEADS)  # as released
RELEASED: dict[str, dict[str, Any]] = {
    "celeba": {"in_channels": 3, "out_channels": 3, **_celeba(224)},
    "churches": {"in_channels": 4, "out_channels": 4, **_churches(192)},
    "inpainting_big": {"in_channels": 7, "out_channels": 3, **_inpainting_big(256)},
    "bsr_sr": {"in_channels": 6, "out_channels": 3, **_bsr_sr(160)},
    "semantic": {"in_channels": 6, "out_channels": 3, **_semantic(128)},
    "cin256": {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [256, 512, 1024],
        "attention_head_dim": [8, 16, 32],  # here, the number of heads
        "cross_attention_dim": 512,
        **_blocks(CROSS, CROSS, CROSS),
    },
    "cin256-v2": {
        "in_channels": 3,
        "out_channels": 3,
        "block_out_channels": [192, 384, 576, 960],
        "attention_head_dim": 1,
        "cross_attention_dim": 512,
        **_blocks(PLAIN, CROSS, CROSS, CROSS),
    },
    "txt2img": {
        "in_channels": 4,
        "out_channels": 4,
        "cross_attention_dim": 1280,
        **_txt2img(320),
    },
    "layout": {
        "in_channels": 3,
        "out_channels": 3,
        "cross_attention_dim": 512,
        **_layout(128),
    },
}


class LatentUNet(Denoiser):
    """Velocity field on pyramids of one level.

    Args:
        config: Design and width.
        level_channels, level_downsamplings: Those of the single level.
    """

    block_types = (ResnetBlock2D, Attention, TextLayer)

    def __init__(
        self,
        config: LatentUNetConfig,
        level_channels: tuple[int, ...],
        level_downsamplings: tuple[Downsampling, ...],
    ) -> None:
        super().__init__(level_channels, level_downsamplings)
        if len(level_channels) != 1:
            raise ValueError(f"LDM's networks take one level, not {len(level_channels)}")
        self.config = config
        beside = config.condition_channels + (MAP_CHANNELS if config.map_classes else 0)
        channels = {"in_channels": level_channels[0] + beside, "out_channels": level_channels[0]}
        if config.token_width:
            channels["cross_attention_dim"] = config.token_width
        self.network = build_unet(
            channels | DESIGNS[config.name](config.base_width), HEADS.get(config.name)
        )
        self.text = None if config.text is None else TextTransformer(config.text)
        self.map_to_channels = (
            nn.Conv2d(config.map_classes, MAP_CHANNELS, 1, bias=False)
            if config.map_classes
            else None
        )
        # Ascending, so that they can be searched; LDM's last step comes first.
        times = step_times(*betas_of(config.name)).flip(0).float()
        self.register_buffer("times", times, persistent=False)

    def forward(self, pyramid: Pyramid, t: Tensor, condition: Condition = NO_CONDITION) -> Pyramid:
        """Predict the velocity at times t (B,), like the pyramid UNet.

        Raises:
            ValueError: The condition is not what it was built for, or a side of the latent cannot
                be halved often enough.
        """
        condition.check(self.condition_sizes)
        height, width = pyramid[0].shape[2:]
        multiple = SIDE_MULTIPLES[self.config.name]
        if height % multiple or width % multiple:
            raise ValueError(
                f"{self.config.name} halves its latent: sides must be multiples of {multiple}, not "
                f"{height}x{width}"
            )
        beside = self._beside(condition, pyramid[0])
        read = self._text(condition)
        if self.config.predicts == "velocity":
            joined = torch.cat([pyramid[0], *beside], dim=1)
            return (self.network(joined, (NUM_STEPS - 1) * (1 - t), **read).sample,)
        times = cast(Tensor, self.times)
        t = t.clamp(times[0], times[-1])
        steps = NUM_STEPS - 1 - (times[None] - t[:, None]).abs().argmin(dim=1)
        data_share = t.view(-1, 1, 1, 1)
        scale = (data_share.square() + (1 - data_share).square()).sqrt()
        joined = torch.cat([pyramid[0] / scale, *beside], dim=1)
        noise = self.network(joined, steps, **read).sample.float()
        return (((pyramid[0] - noise) / data_share).to(pyramid[0].dtype),)

    @property
    def condition_sizes(self) -> ConditionConfig | None:
        """See `Denoiser.condition_sizes`."""
        beside, classes = self.config.condition_channels, self.config.map_classes
        if not (beside or classes or self.config.token_width):
            return None
        return ConditionConfig(
            num_classes=0,
            token_width=self.config.token_width,
            map_channels=classes,
            level_channels=(beside,) if beside else (),
            text=self.config.text,
        )

    def encode_text(self, condition: Condition) -> Condition:
        """Put token states in place of word pieces, once for many calls; the same velocity."""
        return read_text(self.text, condition)

    def _text(self, condition: Condition) -> dict[str, Tensor | None]:
        """Give the tokens as diffusers' network takes them; nothing for one without tokens."""
        if not self.config.token_width:
            return {}
        read = self.encode_text(condition)
        return {"encoder_hidden_states": read.tokens, "encoder_attention_mask": read.mask}

    def _beside(self, condition: Condition, latent: Tensor) -> list[Tensor]:
        """Give the maps that stand beside the latent, at its size."""
        maps = [level.to(latent.dtype) for level in condition.levels or ()]
        if condition.picture is not None and self.map_to_channels is not None:
            small = F.adaptive_avg_pool2d(condition.picture, (latent.shape[2], latent.shape[3]))
            maps.append(self.map_to_channels(small))
        return maps

    def set_dropout(self, share: Tensor) -> None:
        """Do nothing: LDM's released networks have no dropout."""

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load what `save_pretrained` wrote, on the CPU and in evaluation mode."""
        record, tensors = weights.load(folder, cls.__name__)
        with weights.explain_misfit(folder):
            model = cls(
                from_record(LatentUNetConfig, record["config"], "diffusion.baseline"),
                tuple(record["level_channels"]),
                tuple(record["level_downsamplings"]),
            )
            model.load_state_dict(tensors)
        return model.eval()
