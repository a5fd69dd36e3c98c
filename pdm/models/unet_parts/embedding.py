"""The embedding that modulates every block of the UNet: time, global latent and class."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.models.layers.basic import without_autocast

MAX_PERIOD = 10_000.0  # longest period of the sines, in thousandths of the flow's time


def sinusoidal(t: Tensor, width: int) -> Tensor:
    """Return sines and cosines of 999 t: the sinusoidal time embedding of rectified flow's
    networks.

    Args:
        t: (B,) in [0, 1].
        width: Even.

    Returns:
        (B, width) in [-1, 1].
    """
    half = width // 2
    steps = torch.arange(half, dtype=torch.float32, device=t.device) / half
    angles = 999 * t.float()[:, None] * torch.exp(-math.log(MAX_PERIOD) * steps)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Perceptron(nn.Module):
    """Two linear layers with SiLU in between (an MLP)."""

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_width, out_width)
        self.output = nn.Linear(out_width, out_width)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, in_width) to (B, out_width)."""
        output: Tensor = self.output(F.silu(self.hidden(vectors)))
        return output


class Embedding(nn.Module):
    """Sum of the embeddings of times, global latent and class, as far as there are any.

    Args:
        width: Length of the vector.
        num_times: One, or as many as there are levels.
        global_channels: Channels of the global level; None if there is none.
        num_classes: 0 for none. One more class stands for no class, as CFG needs.
        summed: Whether each level's time has an embedding of its own, and these are added up.
    """

    def __init__(
        self,
        width: int,
        num_times: int,
        global_channels: int | None,
        num_classes: int,
        *,
        summed: bool = False,
    ) -> None:
        super().__init__()
        self.sines = width // 4 * 2
        self.time = (
            nn.ModuleList(Perceptron(self.sines, width) for _ in range(num_times))
            if summed
            else Perceptron(self.sines * num_times, width)
        )
        self.stage = nn.Embedding(num_times, width) if summed else None
        # Of the global latent; saved weights have the name.
        self.picture = None if global_channels is None else Perceptron(global_channels, width)
        self.label = nn.Embedding(num_classes + 1, width) if num_classes else None

    def forward(
        self,
        t: Tensor,
        latent: Tensor | None,
        label: Tensor | None,
        stage: Tensor | None = None,
    ) -> Tensor:
        """Embed what there is into (B, width).

        Args:
            t: (B,) or (B, num_times) in [0, 1].
            latent: Global latents (B, C).
            label: Classes (B,).
            stage: (B,) index of the finest level that has begun, for summed embeddings.
        """
        with without_autocast(t.device):  # bfloat16 has three digits, too few for a time
            vector = self._embed_times(t, stage)
        if self.picture is not None:
            vector = vector + self.picture(latent)
        return vector if self.label is None else vector + self.label(label)

    def _embed_times(self, t: Tensor, stage: Tensor | None) -> Tensor:
        sines = sinusoidal(t.reshape(-1), self.sines)
        if self.stage is None:
            assert isinstance(self.time, Perceptron)
            joint: Tensor = self.time(sines.reshape(len(t), -1).to(self.time.hidden.weight.dtype))
            return joint
        assert isinstance(self.time, nn.ModuleList)
        vector: Tensor = self.stage(stage)
        by_level = sines.reshape(len(t), -1, self.sines).to(vector.dtype).unbind(1)
        for embed, level in zip(self.time, by_level, strict=True):
            vector = vector + embed(level)
        return vector


class GlobalTrunk(nn.Module):
    """Velocity of the global level: an MLP beside the UNet; zero before training."""

    def __init__(self, channels: int, feature_width: int, embedding_width: int) -> None:
        super().__init__()
        width = 2 * feature_width
        self.join = nn.Linear(channels + feature_width + embedding_width, width)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), Perceptron(width, width)) for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, channels)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, latent: Tensor, features: Tensor, embedding: Tensor) -> Tensor:
        """Predict the velocity (B, C) of the global latent.

        Args:
            latent: (B, C).
            features: The trunk's coarsest map, (B, width, h, w).
            embedding: (B, E).
        """
        pooled = features.mean(dim=(2, 3))
        hidden = self.join(torch.cat([latent, pooled, F.silu(embedding)], dim=1))
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        velocity: Tensor = self.output(F.silu(self.norm(hidden)))
        return velocity
