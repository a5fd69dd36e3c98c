"""Enlarging 4 times, against a bicubic filter and a regression network with as many parameters:
distance from the true pictures, PSNR and SSIM."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.parts.tasks import world
from benchmarks.parts.tasks.regression import enlarge_all, train_enlarger
from benchmarks.parts.tasks.world import Size, psnr
from benchmarks.shared.networks import count_parameters
from benchmarks.shared.ratios import Ratio
from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels
from pdm.evaluation.reconstruction import ssim
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.pictures.upscale import upscale
from pdm.tasks.partial_pictures.degradation import degrade, enlarge

QUICK, FULL = world.QUICK, world.FULL


@dataclass(frozen=True)
class Enlargements:
    """The same small pictures, enlarged (N, H, W, 3) in three ways, and the true pictures."""

    ours: Pixels
    bicubic: Pixels
    regression: Pixels
    truth: Pixels


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Measure on held-out pictures."""
    built = world.build(size, "task-super-resolution", folder)
    task = built.models.task
    assert isinstance(task, SuperResolutionTask)
    truth = built.held_out
    small = [degrade(picture, task, np.random.default_rng(0)) for picture in truth]
    parameters = count_parameters(built.models.networks.network)
    peer = train_enlarger(built.train, task, parameters, size.diffusion_images)
    found = Enlargements(
        ours=np.stack([upscale(built.models, task, one, seed) for seed, one in enumerate(small)]),
        bicubic=np.stack([enlarge(one, *truth.shape[1:3]) for one in small]),
        regression=enlarge_all(peer, small, task.factor),
        truth=truth,
    )
    sizes = f"{count_parameters(peer):,} and {parameters:,} parameters"
    return [*_distance_lines(found, _largest_shift(found.ours, small), sizes), *_likeness(found)]


def _distance_lines(found: Enlargements, shift: float, sizes: str) -> list[Ratio]:
    judge = ReferenceDistance()
    reference = judge.features(found.truth)
    distance, bicubic, regression = (
        judge.distance(judge.features(each), reference)
        for each in (found.ours, found.bicubic, found.regression)
    )
    return [
        Ratio(
            "sr_distance_vs_bicubic",
            "distance of enlarged held-out pictures from the true ones, over bicubic's",
            distance,
            bicubic,
            judge.name,
            (distance / bicubic,),
            "below 0.7",
            f"largest shift of a channel's mean {shift:.2f} of 255",
        ),
        Ratio(
            "sr_distance_vs_regression",
            "the same, over a regression network's",
            distance,
            regression,
            judge.name,
            (distance / regression,),
            note=f"regression and ours: {sizes}",
        ),
    ]


def _likeness(found: Enlargements) -> list[Ratio]:
    """PSNR and SSIM."""
    ways = (found.ours, found.bicubic, found.regression)
    quality, plain_quality, peer_quality = (psnr(each, found.truth) for each in ways)
    likeness, plain_likeness, peer_likeness = (_ssim(each, found.truth) for each in ways)
    return [
        Ratio(
            "sr_psnr_gain_db",
            "PSNR of enlarged held-out pictures, less bicubic's",
            quality,
            plain_quality,
            "dB",
            (quality - plain_quality,),
            note=f"regression {peer_quality:.2f} dB",
        ),
        Ratio(
            "sr_ssim_vs_bicubic",
            "their SSIM, over bicubic's",
            likeness,
            plain_likeness,
            "SSIM",
            (likeness / plain_likeness,),
            note=f"regression {peer_likeness:.3f}",
        ),
    ]


def _largest_shift(enlarged: Pixels, small: list[Pixels]) -> float:
    """Largest difference of a channel's mean from that of the small picture."""
    before = np.stack([one.mean((0, 1), dtype=float) for one in small])
    return float(np.abs(enlarged.mean((1, 2), dtype=float) - before).max())


def _ssim(pictures: Pixels, truth: Pixels) -> float:
    """Mean over the pictures."""
    ours, real = (torch.tensor(each).permute(0, 3, 1, 2).float() for each in (pictures, truth))
    return float(ssim(ours, real, data_range=255.0).mean())
