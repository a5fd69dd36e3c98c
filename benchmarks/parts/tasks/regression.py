"""A network that enlarges pictures by regression, the plain peer of super-resolution.

Residual blocks on the small picture, then pixel shuffling (EDSR; Lim et al., arXiv:1707.02921). It
learns the mean of all pictures that the small one may stem from, by L1, and adds it to the bicubic
picture.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels
from pdm.tasks.partial_pictures.degradation import degrade, enlarge

BLOCKS = 8
BATCH = 16
LEARNING_RATE = 1e-3


class Enlarger(nn.Module):
    """EDSR without batch norms.

    Args:
        width: Channels.
        factor: 2, 4, ...
    """

    def __init__(self, width: int, factor: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(width, width, 3, padding=1),
            )
            for _ in range(BLOCKS)
        )
        self.leave = nn.Conv2d(width, 3 * factor**2, 3, padding=1)
        for weight in self.leave.parameters():  # it begins as the bicubic filter
            nn.init.zeros_(weight)
        self.shuffle = nn.PixelShuffle(factor)

    def forward(self, small: Tensor, plain: Tensor) -> Tensor:
        """(B, 3, h, w) and the bicubic (B, 3, factor h, factor w) to an enlarged picture."""
        features: Tensor = self.enter(small)
        for block in self.blocks:
            features = features + block(features)
        enlarged: Tensor = plain + self.shuffle(self.leave(features))
        return enlarged


def width_for(parameters: int) -> int:
    """Width of an `Enlarger` with about as many parameters, most of which are in its blocks."""
    return max(8, round(math.sqrt(parameters / (2 * BLOCKS * 9))))


def train_enlarger(
    pictures: Pixels, task: SuperResolutionTask, parameters: int, num_images: int
) -> Enlarger:
    """Train on pictures (N, H, W, 3) reduced anew each time; batches of 16 with a falling rate."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = Enlarger(width_for(parameters), task.factor)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)
    steps = max(1, num_images // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = pictures[rng.integers(len(pictures), size=BATCH)]
        chosen = chosen[:, :, :: rng.choice([-1, 1])]
        small = [degrade(picture, task, rng) for picture in chosen]
        loss = F.l1_loss(network(*_inputs(small, task.factor)), _images(chosen))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def enlarge_all(network: Enlarger, small: list[Pixels], factor: int) -> Pixels:
    """Enlarge pictures (h, w, 3) into (N, factor h, factor w, 3)."""
    images = network(*_inputs(small, factor)).permute(0, 2, 3, 1)
    pixels: Pixels = (127.5 * (images + 1)).round().clamp(0, 255).byte().numpy()
    return pixels


def _inputs(small: list[Pixels], factor: int) -> tuple[Tensor, Tensor]:
    height, width, _ = small[0].shape
    plain = [enlarge(one, factor * height, factor * width) for one in small]
    return _images(np.stack(small)), _images(np.stack(plain))


def _images(pixels: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1
