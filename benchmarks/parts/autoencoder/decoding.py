"""Encoding and decoding of one picture: the pyramid autoencoder beside diffusers' KL f8.

Both have about the parameters of the published KL f8 (83.65 million); ours is as its users run it
(channels_last, float32), diffusers' as it comes out of the box and tuned (channels_last, bfloat16,
compiled). Weights are random: speed does not depend on them, and nothing is said of quality.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.parts.autoencoder.networks import kl_f8, pyramid_like_kl_f8
from benchmarks.shared.networks import count_parameters, to_channels_last
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.threads import limited_threads, num_threads
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.models.autoencoder import PyramidAutoencoder


@dataclasses.dataclass(frozen=True)
class Size:
    side_px: int
    base_width: int  # of diffusers' network; the pyramid's widths follow
    rounds: int
    compiled: bool


FULL = Size(side_px=512, base_width=128, rounds=5, compiled=True)
QUICK = Size(side_px=64, base_width=32, rounds=1, compiled=False)


@torch.no_grad()
def measure(size: Size, folder: Path) -> list[Ratio]:
    """Images a second, ours over diffusers', for decoding and encoding."""
    with limited_threads(num_threads()):
        return _compare(size)


def _compare(size: Size) -> list[Ratio]:
    torch.manual_seed(0)
    ours, plain = pyramid_like_kl_f8(size.base_width), kl_f8(size.base_width)
    tuned = to_channels_last(kl_f8(size.base_width)).bfloat16()
    images = torch.rand(1, 3, size.side_px, size.side_px) * 2 - 1
    latents = ours.encode(images)
    theirs = plain.encode(images).latent_dist.mode()
    jobs = {
        "decode": (
            lambda: ours.decode(latents),
            lambda: plain.decode(theirs).sample,
            _job(tuned.decode, theirs.bfloat16(), size.compiled),
        ),
        "encode": (
            lambda: ours.encode(images),
            lambda: plain.encode(images).latent_dist.mode(),
            _job(tuned.encode, images.bfloat16(), size.compiled),
        ),
    }
    note = _note(ours, plain, jobs)
    lines = []
    for name, (own, default, fast) in jobs.items():
        seconds = interleaved(size.rounds, *(partial(timed, job) for job in (own, default, fast)))
        rates = [speeds(1, [one.wall for one in side]) for side in seconds]
        goals = ("at least 3", "above 1.1") if name == "decode" else ("", "")
        for key, peer, goal in zip(("default", "tuned"), rates[1:], goals, strict=True):
            question = f"{name} {size.side_px}x{size.side_px}, against diffusers KL f8, {key}"
            lines.append(
                compare(f"{name}_vs_{key}", question, rates[0], peer, "images/s", goal, note)
            )
    return lines


def _job(method: Callable[[Tensor], Any], batch: Tensor, compiled: bool) -> Callable[[], Any]:
    batch = batch.to(memory_format=torch.channels_last)
    run = torch.compile(method) if compiled else method
    return lambda: run(batch)


def _note(ours: PyramidAutoencoder, plain: torch.nn.Module, jobs: dict[str, Any]) -> str:
    counts = [count_parameters(model) / 1e6 for model in (ours, plain)]
    flops = []
    for own, default, _ in jobs.values():
        for job in (own, default):
            with FlopCounterMode(display=False) as counter:
                job()
            flops.append(counter.get_total_flops() / 1e9)
    return (
        f"{counts[0]:.2f} million parameters, diffusers' {counts[1]:.2f}. GFLOP to decode: "
        f"{flops[0]:,.3g}, diffusers' {flops[1]:,.3g}; to encode: {flops[2]:,.3g} and "
        f"{flops[3]:,.3g}. Threads: {torch.get_num_threads()}."
    )
