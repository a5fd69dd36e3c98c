"""Floating-point operations of one evaluation at 2048x2048, counted on the meta device.

Ours is the network of the preset `model-2048x2048`, on the levels of that preset. The peers are
diffusers' networks at as many parameters. No timing: the same figures on every machine.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.common import Ratio
from benchmarks.parts.diffusion.peers import count, nearest, operations, sdxl, sdxl_inputs, unet2d
from pdm import params, presets
from pdm.models.levels.pyramid import level_shapes
from pdm.models.unet import PyramidUNet

SIDE_PX = 2048


@dataclass(frozen=True)
class Size:
    preset: str


QUICK = FULL = Size("model-2048x2048")


def measure(size: Size, folder: Path) -> list[Ratio]:
    ours, flops, finest = _ours(size.preset, folder)
    lines = []
    for key, name, side, goal in (
        ("flops_vs_unet2d", "UNet2DModel on a latent as fine as our finest level", finest, 1 / 3),
        ("flops_vs_unet2d_f8", "UNet2DModel on the latent of an f8 first stage", SIDE_PX // 8, 0),
    ):
        peer = nearest(unet2d, ours)
        peer_flops = operations(
            lambda p=peer, s=side: p(
                torch.empty(1, 4, s, s, device="meta"), torch.zeros(1, device="meta")
            )
        )
        lines.append(_line(key, name, ours, flops, count(peer), peer_flops, goal))
    for key, name, side, goal in (
        (
            "flops_vs_sdxl",
            "the SDXL layout on the latent of its f8 first stage",
            SIDE_PX // 8,
            1 / 20,
        ),
        ("flops_vs_sdxl_f16", "the SDXL layout on a latent as fine as our finest", finest, 0),
    ):
        peer = nearest(sdxl, ours)
        peer_flops = operations(lambda p=peer, s=side: p(**sdxl_inputs(s)))
        lines.append(_line(key, name, ours, flops, count(peer), peer_flops, goal))
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


def _ours(preset: str, folder: Path) -> tuple[int, int, int]:
    """Parameters, operations, and the side of the finest level."""
    path = Path(tempfile.mkdtemp(dir=folder)) / "params.yaml"
    path.write_text(presets.preset_text(preset, None), encoding="utf-8")
    config = params.load(path)
    levels = config.autoencoder.model.levels
    channels = tuple(level.channels for level in levels)
    downsamplings = tuple(level.downsampling for level in levels)
    shapes = level_shapes(channels, downsamplings, SIDE_PX, SIDE_PX)
    with torch.device("meta"):
        network = PyramidUNet(config.diffusion.model, channels, downsamplings).eval()
        pyramid = tuple(torch.empty(1, *shape) for shape in shapes)
        flops = operations(lambda: network(pyramid, torch.zeros(1)))
    return count(network), flops, shapes[-1][1]
