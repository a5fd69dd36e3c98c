"""Enlarging 4 times, against a bicubic filter and a regression network with as many parameters:
distance from the true pictures, PSNR and SSIM."""

from pathlib import Path

import numpy as np
import torch

from benchmarks.common import Ratio
from benchmarks.parts.tasks import world
from benchmarks.parts.tasks.regression import enlarge_all, train_enlarger
from benchmarks.parts.tasks.world import Size, psnr
from pdm.config.task import SuperResolutionTask
from pdm.data.pixels import Pixels
from pdm.evaluation.reconstruction import ssim
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.pictures.upscale import upscale
from pdm.tasks.degradation import degrade, enlarge

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
    parameters = sum(weight.numel() for weight in built.models.networks.network.parameters())
    peer = train_enlarger(built.train, task, parameters, size.diffusion_images)
    regressed = enlarge_all(peer, small, task.factor)
    judge = ReferenceDistance()
    reference = judge.features(truth)
    three = ours, plain, regressed
    distances = [judge.distance(judge.features(each), reference) for each in three]
    quality = [psnr(each, truth) for each in three]
    likeness = [_ssim(each, truth) for each in three]
    shift = np.abs(
        ours.mean((1, 2), dtype=float) - np.stack([one.mean((0, 1), dtype=float) for one in small])
    ).max()
    sizes = f"{sum(weight.numel() for weight in peer.parameters()):,} and {parameters:,} parameters"
    return [
        Ratio(
            "sr_distance_vs_bicubic",
            "distance of enlarged held-out pictures from the true ones, over bicubic's",
            *distances[:2],
            judge.name,
            (distances[0] / distances[1],),
            "below 0.7",
            f"largest shift of a channel's mean {shift:.2f} of 255",
        ),
        Ratio(
            "sr_distance_vs_regression",
            "the same, over a regression network's",
            distances[0],
            distances[2],
            judge.name,
            (distances[0] / distances[2],),
            note=f"regression and ours: {sizes}",
        ),
        Ratio(
            "sr_psnr_gain_db",
            "PSNR of enlarged held-out pictures, less bicubic's",
            *quality[:2],
            "dB",
            (quality[0] - quality[1],),
            note=f"regression {quality[2]:.2f} dB",
        ),
        Ratio(
            "sr_ssim_vs_bicubic",
            "their SSIM, over bicubic's",
            *likeness[:2],
            "SSIM",
            (likeness[0] / likeness[1],),
            note=f"regression {likeness[2]:.3f}",
        ),
    ]


def _ssim(pictures: Pixels, truth: Pixels) -> float:
    """Mean over the pictures."""
    ours, real = (torch.tensor(each).permute(0, 3, 1, 2).float() for each in (pictures, truth))
    return float(ssim(ours, real, data_range=255.0).mean())
