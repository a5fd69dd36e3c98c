"""Enlarging 4 times, against a bicubic filter and a regression network with as many parameters:
distance from the true pictures, PSNR and SSIM."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Ratio
from benchmarks.networks import count_parameters
from benchmarks.parts.tasks import world
from benchmarks.parts.tasks.regression import enlarge_all, train_enlarger
from benchmarks.parts.tasks.world import Size, psnr
from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels
from pdm.evaluation.reconstruction import ssim
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.pictures.upscale import upscale
from pdm.tasks.partial_pictures.degradation import degrade, enlarge

QUICK, FULL = world.QUICK, world.FULL


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Measure on held-out pictures."""
    built = world.build(size, "task-super-resolution", folder)
    task = built.models.task
    assert isinstance(task, SuperResolutionTask)
    truth = built.held_out
    small = [degrade(picture, task, np.random.default_rng(0)) for picture in truth]
    ours = np.stack([upscale(built.models, task, one, seed) for seed, one in enumerate(small)])
    plain = np.stack([enlarge(one, *truth.shape[1:3]) for one in small])
    parameters = count_parameters(built.models.networks.network)
    peer = train_enlarger(built.train, task, parameters, size.diffusion_images)
    regressed = enlarge_all(peer, small, task.factor)
    judge = ReferenceDistance()
    reference = judge.features(truth)
    three = ours, plain, regressed
    distance, plain_distance, peer_distance = (
        judge.distance(judge.features(each), reference) for each in three
    )
    quality, plain_quality, peer_quality = (psnr(each, truth) for each in three)
    likeness, plain_likeness, peer_likeness = (_ssim(each, truth) for each in three)
    shift = np.abs(
        ours.mean((1, 2), dtype=float) - np.stack([one.mean((0, 1), dtype=float) for one in small])
    ).max()
    sizes = f"{count_parameters(peer):,} and {parameters:,} parameters"
    return [
        Ratio(
            "sr_distance_vs_bicubic",
            "distance of enlarged held-out pictures from the true ones, over bicubic's",
            distance,
            plain_distance,
            judge.name,
            (distance / plain_distance,),
            "below 0.7",
            f"largest shift of a channel's mean {shift:.2f} of 255",
        ),
        Ratio(
            "sr_distance_vs_regression",
            "the same, over a regression network's",
            distance,
            peer_distance,
            judge.name,
            (distance / peer_distance,),
            note=f"regression and ours: {sizes}",
        ),
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


def _ssim(pictures: Pixels, truth: Pixels) -> float:
    """Mean over the pictures."""
    ours, real = (torch.tensor(each).permute(0, 3, 1, 2).float() for each in (pictures, truth))
    return float(ssim(ours, real, data_range=255.0).mean())
