"""Floating-point operations of one evaluation at 2048x2048, counted on the meta device.

Ours is the network of the preset `model-2048x2048`, on the levels of that preset. The peers are
diffusers' networks at as many parameters. No timing: the same figures on every machine.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.parts.diffusion.peers import nearest, operations, sdxl, sdxl_inputs, unet2d
from benchmarks.shared.networks import count_parameters
from benchmarks.shared.ratios import Ratio
from pdm import presets
from pdm.registry import build_autoencoder, build_denoiser

SIDE_PX = 2048


@dataclass(frozen=True)
class Size:
    preset: str


QUICK = FULL = Size("model-2048x2048")


def measure(size: Size, folder: Path) -> list[Ratio]:
    ours, flops, finest = _ours(size.preset)
    lines = []
    for key, name, side, goal in (
        ("flops_vs_unet2d", "UNet2DModel on a latent as fine as our finest level", finest, 1 / 3),
        ("flops_vs_unet2d_f8", "UNet2DModel on the latent of an f8 first stage", SIDE_PX // 8, 0),
    ):
        peer = nearest(unet2d, ours)
        with torch.device("meta"):
            inputs = torch.empty(1, 4, side, side), torch.zeros(1)
        peer_flops = operations(partial(peer, *inputs))
        lines.append(_line(key, name, ours, flops, count_parameters(peer), peer_flops, goal))
    for key, name, side, goal in (
        (
            "flops_vs_sdxl",
            "the SDXL layout on the latent of its f8 first stage",
            SIDE_PX // 8,
            1 / 20,
        ),
        ("flops_vs_sdxl_f16", "the SDXL layout on a latent as fine as our finest", finest, 0),
    ):
        other = nearest(sdxl, ours)
        peer_flops = operations(partial(other, **sdxl_inputs(side)))
        lines.append(_line(key, name, ours, flops, count_parameters(other), peer_flops, goal))
    return lines


def _line(
    key: str, name: str, ours: int, flops: int, parameters: int, peer_flops: int, goal: float
) -> Ratio:
    return Ratio(
        key,
        f"operations of one evaluation at {SIDE_PX}x{SIDE_PX}, against {name} (less is better)",
        flops / 1e12,
        peer_flops / 1e12,
        "TFLOP",
        (flops / peer_flops,),
        f"at most {goal:.3g}" if goal else "",
        f"{ours / 1e6:.1f} million parameters, the peer {parameters / 1e6:.1f}.",
    )


def _ours(preset: str) -> tuple[int, int, int]:
    """Parameters, operations, and the side of the finest level."""
    config = presets.load(preset)
    with torch.device("meta"):
        autoencoder = build_autoencoder(config.autoencoder)
        levels = autoencoder.level_channels, autoencoder.level_downsamplings
        shapes = autoencoder.level_shapes(SIDE_PX, SIDE_PX)
        network = build_denoiser(config.diffusion, *levels).eval()
        pyramid = tuple(torch.empty(1, *shape) for shape in shapes)
        flops = operations(lambda: network(pyramid, torch.zeros(1)))
    return count_parameters(network), flops, shapes[-1][1]
