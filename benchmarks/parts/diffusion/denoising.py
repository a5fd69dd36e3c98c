"""Train step and sampling of the pyramid UNet beside diffusers' UNet2DModel.

Both have the same number of parameters and pictures of 256x256: ours moves the pyramid of the
preset `model-256x256`, the peer the latent of LDM's f8 (32x32, 4 channels), as fine as our finest
level. Ours has spectral norms and attention over pixels and channels, as by default. A train step
is forward, backward and AdamW. Sampling is a loop of Euler steps. "Default" is float32 as the
networks come: the peer's weights as diffusers makes them, ours in channels_last, as this project's
trainings make them. "Tuned", for both sides, is bfloat16 by autocast and channels_last. Weights are
random: speed does not depend on them, and nothing is said of quality.
"""

import copy
import dataclasses
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.parts.diffusion.peers import operations, unet2d_of
from benchmarks.parts.diffusion.workloads import sampling, train_step
from benchmarks.shared.child_process import MIB, memory_bytes, reset_peak, run_module
from benchmarks.shared.networks import count_parameters, to_channels_last
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.config.networks.unet import UNetConfig
from pdm.diffusion.flow import Velocity
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.models.levels.pyramid import Downsampling, Pyramid, level_shapes
from pdm.models.unet import PyramidUNet

CHANNELS = (64, 16, 16, 8, 4)
DOWNSAMPLINGS: tuple[Downsampling, ...] = ("global", 64, 32, 16, 8)
SIDE_PX = 256
JOBS = {"train": "a train step", "sample": "sampling in Euler steps"}


@dataclasses.dataclass(frozen=True)
class Size:
    widths: tuple[int, ...]
    batch: int
    steps: int
    rounds: int


FULL = Size(widths=(32, 64, 128, 208), batch=8, steps=4, rounds=5)
QUICK = Size(widths=(8, 8, 8, 16), batch=2, steps=1, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Images a second, ours over the peer's, and peaks of memory."""
    ours, peer, inputs = _sides(size)
    note = _note(ours, peer, *inputs)
    lines = []
    for job, what in JOBS.items():
        for way in ("default", "tuned"):
            runs = [
                _job(job, size.steps, copy.deepcopy(network), data, way == "tuned")
                for network, data in zip((ours, peer), inputs, strict=True)
            ]
            seconds = interleaved(size.rounds, *(partial(timed, run) for run in runs))
            mine, theirs = (speeds(size.batch, [one.wall for one in side]) for side in seconds)
            question = f"{what}, batch {size.batch}, against UNet2DModel, both {way}"
            goal = "at least 2" if way == "tuned" else ""
            key = f"{job}_vs_{way}"
            lines.append(compare(key, question, mine, theirs, "images/s", goal, note))
    return [*lines, *(_memory(job, size) for job in JOBS)]


def _memory(job: str, size: Size) -> Ratio:
    """Each side in a process of its own, so that its peak is its own."""
    mebibytes = []
    for side in ("0", "1"):
        facts = json.dumps(dataclasses.asdict(size))
        mebibytes.append(float(run_module(__name__, job, side, facts)))
    return Ratio(
        f"{job}_memory",
        f"{JOBS[job]}, batch {size.batch}: peak of memory over UNet2DModel's (less is better)",
        mebibytes[0],
        mebibytes[1],
        "MiB",
        (mebibytes[0] / mebibytes[1],),
        note="Above that of the loaded network; default, one run.",
    )


def _peak() -> None:
    """What runs in the child process."""
    job, side, facts = sys.argv[1:]
    size = Size(**json.loads(facts))
    ours, peer, inputs = _sides(size)
    run = _job(job, size.steps, (ours, peer)[int(side)], inputs[int(side)], False)
    reset_peak()
    before = memory_bytes("VmRSS")
    run()
    print((memory_bytes("VmHWM") - before) / MIB)


def _sides(size: Size) -> tuple[PyramidUNet, nn.Module, tuple[Pyramid, Pyramid]]:
    """Both networks, and a batch of inputs for each."""
    torch.manual_seed(0)
    ours = _pyramid_unet(tuple(size.widths))
    peer = unet2d_of(count_parameters(ours))
    shapes = level_shapes(CHANNELS, DOWNSAMPLINGS, SIDE_PX, SIDE_PX)
    pyramid = tuple(torch.randn(size.batch, *shape) for shape in shapes)
    return ours, peer, (pyramid, (torch.randn(size.batch, 4, SIDE_PX // 8, SIDE_PX // 8),))


def _job(job: str, steps: int, network: nn.Module, data: Pyramid, tuned: bool) -> Callable[[], Any]:
    if tuned:
        to_channels_last(network)
    if job == "train":
        return train_step(network.train(), _velocity(network), data, bfloat16=tuned)
    network = bake_spectral_norms(network.eval())
    return sampling(_velocity(network), data, steps, bfloat16=tuned)


def _pyramid_unet(widths: tuple[int, ...]) -> PyramidUNet:
    config = UNetConfig(
        widths=widths,
        blocks=(1,) * len(widths),
        embedding_width=128,
        branches=True,
        windows=None,
        level_times=None,
        time_embedding="joint",
        predicts=None,
        input_stream=False,
        output_stream=False,
        resampling="box",
        attention_from=32,
        cross_attention_from=None,
        attention_ratio="shape",
        dropout=(0.0,) * len(widths),
        dropout_falls=False,
        spectral_norm=True,
        condition=None,
    )
    return to_channels_last(PyramidUNet(config, CHANNELS, DOWNSAMPLINGS))


def _velocity(network: nn.Module) -> Velocity:
    if isinstance(network, PyramidUNet):
        return network
    return lambda pyramid, t: (network(pyramid[0], 999 * t).sample,)


def _note(ours: PyramidUNet, peer: nn.Module, pyramid: Pyramid, latent: Pyramid) -> str:
    t = torch.rand(len(latent[0]))
    gigas = [
        operations(partial(_velocity(network), data, t)) / len(t) / 1e9
        for network, data in ((ours, pyramid), (peer, latent))
    ]
    return (
        f"{count_parameters(ours) / 1e6:.2f} million parameters, the peer "
        f"{count_parameters(peer) / 1e6:.2f}; "
        f"{gigas[0]:.3g} GFLOP for one evaluation of one picture, the peer {gigas[1]:.3g}. "
        f"Threads: {torch.get_num_threads()}."
    )


if __name__ == "__main__":
    _peak()
