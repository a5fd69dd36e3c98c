"""Writes checkpoints like the published ones of StableSR, with small random networks."""

import sys
import types
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from pdm.baselines.first_stage import KLFirstStage
from pdm.baselines.stablesr.denoiser import StableSR
from pdm.baselines.stablesr.published_names import (
    ENCODER,
    FIRST_STAGE,
    TEXT,
    UNET,
    first_stage_names,
)
from pdm.baselines.stablesr.renaming import diffusers_name
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.stablesr import StableSRConfig

HEAD_WIDTH, TEXT_WIDTH, TEXT_LAYERS = 8, 64, 3
SMALL = StableSRConfig(
    predicts="noise", base_width=32, head_width=HEAD_WIDTH, text_width=TEXT_WIDTH, encoder_width=32
)
FIRST_STAGE_CONFIG = FirstStageConfig(
    name="kl-f8", base_width=8, latent_scale="scalar", latent_weight=0.0
)


class TextLayer(nn.Module):
    """A layer of OpenCLIP's text encoder, by its names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, width // 64, batch_first=True)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(width, 4 * width), "c_proj": nn.Linear(4 * width, width)}
        )

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        normed = self.ln_1(x)
        x = x + self.attn(normed, normed, normed, attn_mask=hidden, need_weights=False)[0]
        return x + self.mlp["c_proj"](nn.functional.gelu(self.mlp["c_fc"](self.ln_2(x))))


class TextEncoder(nn.Module):
    """OpenCLIP's text encoder, with a layer that is not read, and what it needs for pictures."""

    def __init__(self, width: int = TEXT_WIDTH, layers: int = TEXT_LAYERS) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(49408, width)
        self.positional_embedding = nn.Parameter(0.1 * torch.randn(77, width))
        self.transformer = nn.ModuleDict(
            {"resblocks": nn.ModuleList([TextLayer(width) for _ in range(layers)])}
        )
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.randn(width, width))
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token_embedding(tokens) + self.positional_embedding
        for layer in self.transformer["resblocks"][:-1]:
            x = layer(x)
        return self.ln_final(x)


@torch.no_grad()
def randomise(module: nn.Module) -> nn.Module:
    """Give a network weights that keep the size of what passes through it."""
    for weight in module.parameters():
        fan_in = weight[0].numel() if weight.ndim > 1 else 4
        weight.normal_(0, 0.7 / fan_in**0.5)
    for part in module.modules():
        if isinstance(part, nn.GroupNorm | nn.LayerNorm):
            part.weight.add_(1)
    return module.eval()


def published_weights(seed: int = 0) -> dict[str, Tensor]:
    """Everything that `stablesr_000117.ckpt` has, small."""
    torch.manual_seed(seed)
    denoiser = randomise(StableSR(SMALL, (4,), (8,))).state_dict()
    first_stage = randomise(KLFirstStage(FIRST_STAGE_CONFIG)).state_dict()
    text = randomise(TextEncoder()).state_dict()
    found = {
        prefix + name.removeprefix(own): value
        for own, prefix in (("unet.", UNET), ("encoder.", ENCODER))
        for name, value in denoiser.items()
        if name.startswith(own)
    }
    for name, value in published_first_stage(first_stage, "network.").items():
        found[FIRST_STAGE + name] = value
    found |= {TEXT + name: value for name, value in text.items()}
    return found | {"betas": torch.zeros(1000), "logvar": torch.zeros(1000)}


def published_first_stage(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights of a first stage, by latent diffusion's names and with its convolutions."""
    return {
        name: value[..., None, None] if ".attn_1." in name and value.ndim == 2 else value
        for name in first_stage_names()
        for value in [state[prefix + diffusers_name(name)]]
    }


def save_as_lightning(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a checkpoint as Lightning does: its callbacks' classes are named beside the weights."""
    names = ("pytorch_lightning", "pytorch_lightning.callbacks")
    modules = {name: types.ModuleType(name) for name in names}
    callback = type("ModelCheckpoint", (), {"__module__": names[1]})
    modules[names[1]].ModelCheckpoint = callback  # type: ignore[attr-defined]
    sys.modules.update(modules)
    try:
        state = {callback: {"monitor": "val/loss", "best": callback()}}
        torch.save({"state_dict": dict(tensors), "callbacks": state, "global_step": 117}, path)
    finally:
        for name in names:
            del sys.modules[name]
