"""Features of large pictures by `random_conv`: a strip of one picture at a time, and whole batches.

The peer is what the evaluator did until November 2026: all channels of all pictures of a batch at
their full size. Memory is what a process of its own reaches beyond its pictures.
"""

import dataclasses
import math
import multiprocessing
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.shared.child_process import memory_bytes
from benchmarks.shared.ratios import Ratio, compare
from benchmarks.shared.threads import limited_threads
from benchmarks.shared.timing import interleaved, speeds, timed
from pdm.evaluation.features.random_conv import NUM_SCALES, RandomConvFeatures


@dataclasses.dataclass(frozen=True)
class Size:
    height_px: int
    width_px: int
    batch_size: int
    rounds: int


FULL = Size(height_px=2048, width_px=2048, batch_size=4, rounds=3)
QUICK = Size(height_px=64, width_px=64, batch_size=2, rounds=1)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Pictures a second and core, and memory."""
    with limited_threads(1):
        return _lines(size)


def _lines(size: Size) -> list[Ratio]:
    extractor = RandomConvFeatures(64, seed=0)
    one = _pictures(size, 1)
    difference = (_ours(extractor, one) - _features_in_one_piece(extractor, one)).abs().max()
    jobs = (lambda: _ours(extractor, one), lambda: _features_in_one_piece(extractor, one))
    seconds = interleaved(size.rounds, *(partial(timed, job) for job in jobs))
    mine, peers = (speeds(1, [each.cpu for each in side]) for side in seconds)
    said = f"{size.width_px}x{size.height_px}"
    note = f"features differ by at most {difference:.1e}"
    lines = [
        compare(
            "random_conv_speed",
            f"features of pictures of {said}, against whole pictures",
            mine,
            peers,
            "pictures/s and core",
            note=note,
        )
    ]
    for count in dict.fromkeys((1, size.batch_size)):
        ours, theirs = (_peak(size, count, whole) for whole in (False, True))
        pictures = "a picture" if count == 1 else f"{count} pictures"
        question = f"memory for {pictures} of {said}, against whole batches (less is better)"
        lines.append(
            Ratio(f"random_conv_memory_{count}", question, ours, theirs, "GiB", (ours / theirs,))
        )
    return lines


def _pictures(size: Size, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, 3, size.height_px, size.width_px)
    return torch.rand(shape, generator=generator) * 2 - 1


def _ours(extractor: RandomConvFeatures, images: Tensor) -> Tensor:
    found: Tensor = extractor(images)
    return found


@torch.no_grad()
def _features_in_one_piece(extractor: RandomConvFeatures, images: Tensor) -> Tensor:
    pooled = [images.flatten(2).mean(2)]
    h = images
    for scale in range(NUM_SCALES):
        if scale:
            h = F.avg_pool2d(h, 2, ceil_mode=True)
        padded = F.pad(h, (1, 1, 1, 1), mode="replicate")
        h = F.conv2d(padded, extractor.get_buffer(f"filters_{scale}"))
        h = math.sqrt(2) * F.leaky_relu(h, 0.2)
        deviations, means = torch.std_mean(h.flatten(2), dim=2, correction=0)
        pooled += [means, (deviations + 0.01).log()]
    vectors = torch.cat(pooled, dim=1).double()
    return (vectors - extractor.means) / extractor.deviations @ extractor.directions


def _peak(size: Size, count: int, whole: bool) -> float:
    """GiB that a process reaches beyond its pictures."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (size, count, whole))


def _measured(size: Size, count: int, whole: bool) -> float:
    torch.set_num_threads(1)
    extractor = RandomConvFeatures(64, seed=0)
    images = _pictures(size, count)
    before = memory_bytes("VmHWM")
    (_features_in_one_piece if whole else _ours)(extractor, images)
    return max(memory_bytes("VmHWM") - before, 1024) / 2**30
