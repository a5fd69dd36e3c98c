"""Training and sampling in latents against pixels, with networks of equally many parameters.

Both are pyramid UNets with the layers of the default params. Ours moves the pyramid of latents; its
drawings are decoded, and its training reads latents, which are encoded once. The peer moves the
pixels themselves, as LDM-1 does (arXiv:2112.10752, table 6), at two more
resolutions, without a global level. Weights are random: speed does not depend on them.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.parts.diffusion.workloads import sampling, train_step
from benchmarks.shared.networks import count_parameters, to_channels_last
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm import params
from pdm.config import Params
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.models.unet import PyramidUNet
from pdm.params.keys import DEFAULT
from pdm.registry import build_autoencoder, build_denoiser

FINER_WIDTHS = (64, 96)  # of the peer, at the pixels and at half of their size
GOAL = "at least 2.7"


@dataclasses.dataclass(frozen=True)
class Size:
    """A batch of pictures of (height, width), and how often it is timed."""

    side: tuple[int, int]
    batch: int
    steps: int
    rounds: int


QUICK = Size((32, 64), 1, 1, 1)
FULL = Size((128, 256), 2, 4, 5)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Images a second in latents, over those in pixels."""
    config = params.load(DEFAULT)
    torch.manual_seed(0)
    autoencoder = build_autoencoder(config.autoencoder).eval()
    latents = tuple(
        torch.randn(size.batch, *shape) for shape in autoencoder.level_shapes(*size.side)
    )
    pixels = (torch.randn(size.batch, 3, *size.side),)
    levels = autoencoder.level_channels, autoencoder.level_downsamplings
    ours = build_denoiser(config.diffusion, *levels)
    peer = _pixel_network(config)
    note = (
        f"{count_parameters(ours) / 1e6:.2f} million parameters, the peer "
        f"{count_parameters(peer) / 1e6:.2f}; pictures of {size.side[1]}x{size.side[0]}, batch "
        f"{size.batch}, threads: {torch.get_num_threads()}. "
        "LDM's own figure is 2.7, LDM-4 over LDM-1 in training."
    )
    sides = ((ours, latents), (peer, pixels))
    steps = [
        train_step(to_channels_last(network).train(), network, data) for network, data in sides
    ]
    train = _compare("train", "a train step", size, steps, note)
    drawings = [
        sampling(bake_spectral_norms(network.eval()), data, size.steps) for network, data in sides
    ]
    draw, draw_pixels = drawings

    def draw_and_decode() -> None:
        with torch.no_grad():
            autoencoder.decode(draw(), size.side)

    question = f"sampling in {size.steps} steps, ours with decoding"
    return [train, _compare("sample", question, size, [draw_and_decode, draw_pixels], note)]


def _compare(
    job: str, question: str, size: Size, sides: list[Callable[[], Any]], note: str
) -> Ratio:
    found = interleaved(size.rounds, *(partial(timed, run) for run in sides))
    ours, peer = (speeds(size.batch, [one.wall for one in side]) for side in found)
    question = f"{question}: in latents, over pixels"
    return compare(f"latent_vs_pixel_{job}", question, ours, peer, "images/s", GOAL, note)


def _pixel_network(config: Params) -> PyramidUNet:
    network = config.diffusion.model
    assert network is not None
    changed = dataclasses.replace(
        network,
        widths=FINER_WIDTHS + network.widths,
        blocks=(1,) * len(FINER_WIDTHS) + network.blocks,
        dropout=(0.0,) * len(FINER_WIDTHS) + network.dropout,
    )
    return PyramidUNet(changed, (3,), (1,))
