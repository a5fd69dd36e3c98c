"""Trains one autoencoder for processor seconds, or on a number of crops, and scores it."""

import contextlib
import dataclasses
import json
import logging
import math
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks.crops import Crops, Pixels
from benchmarks.first_stages import SIDE_PX, build, config_of
from pdm.data.images import to_images
from pdm.errors import Preempted
from pdm.evaluation.reconstruction import psnr, ssim
from pdm.models.codec import Autoencoder
from pdm.training.autoencoder import Pictures
from pdm.training.distances import gradient_loss
from pdm.training.loop import train
from pdm.training.losses import AutoencoderLosses
from pdm.training.state import TrainState
from pdm.training.workers import Workers

ENDLESS = 8 * 10**8  # images; the clock ends the run


class CropsInMemory:
    """What the trainer asks of shards."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels = pixels
        self.keys = [str(number) for number in range(len(pixels))]
        self.manifest = SimpleNamespace(facts={"height_px": SIDE_PX})

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: Any, height: int, width: int) -> Pixels:
        return self.pixels[list(indices)]


@dataclasses.dataclass
class Clock:
    """A run that ends when its processor time is spent."""

    seconds: float
    curve: list[tuple[int, float]] = dataclasses.field(default_factory=list)
    began: float = dataclasses.field(default_factory=time.process_time)

    def log(self, metrics: dict[str, float], images_seen: int) -> None:
        self.curve.append((images_seen, round(metrics["loss"], 4)))

    def save(self, state: TrainState) -> None:
        pass

    def score(self, state: TrainState) -> None:
        pass

    def settle(self) -> None:
        pass

    def save_failed(self) -> bool:
        return False

    def newest(self) -> str:
        return "none is kept"

    def stop_requested(self) -> bool:
        return time.process_time() - self.began > self.seconds


def trained(job: dict[str, Any], data: Crops) -> tuple[Autoencoder, Clock, int]:
    """The average model, in evaluation mode; its clock; images seen."""
    config = config_of(job["design"], job["seed"], job["learning_rate"], job["images"] or ENDLESS)
    torch.manual_seed(job["seed"])
    model = build(config)
    state = TrainState(model, config.training)
    losses = AutoencoderLosses(model, config, None, None)
    pictures = Pictures(CropsInMemory(data.train), config, model)  # type: ignore[arg-type]
    clock = Clock(job["seconds"] or math.inf)
    with contextlib.suppress(Preempted):  # the clock's way to end it
        train(state, losses, pictures, config.training, clock, Workers(torch.device("cpu")))
    average = state.average
    assert isinstance(average, Autoencoder)
    return average, clock, state.images_seen


@torch.no_grad()
def scores(model: Autoencoder, pixels: Pixels) -> list[dict[str, float]]:
    """Mean PSNR (dB), SSIM and gradient error over the pictures, by prefix of the levels."""
    sums: list[dict[str, float]] = []
    for start in range(0, len(pixels), 32):
        images = to_images(pixels[start : start + 32])
        means, _ = model.posterior(images)
        size = (images.shape[2], images.shape[3])
        for count in range(1, len(means) + 1):
            found = model.decode_raw(means[:count], size).clamp(-1, 1)
            if len(sums) < count:
                sums.append(dict.fromkeys(("psnr_db", "ssim", "gradient_error"), 0.0))
            for name, values in _measured(found, images).items():
                sums[count - 1][name] += float(values.sum()) / len(pixels)
    return [{name: round(value, 4) for name, value in prefix.items()} for prefix in sums]


def _measured(found: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    errors = [gradient_loss(a[None], b[None]) for a, b in zip(found, wanted, strict=True)]
    return {
        "psnr_db": psnr(found, wanted, 2.0),
        "ssim": ssim(found, wanted, 2.0),
        "gradient_error": torch.stack(errors),
    }


def main() -> None:
    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    data = Crops.load(Path(job["crops"]))
    model, clock, images_seen = trained(job, data)
    kept = {name: job[name] for name in ("design", "seed", "seconds", "images", "learning_rate")}
    found = {
        **kept,
        "images_seen": images_seen,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "latent_values": sum(c * h * w for c, h, w in model.level_shapes(SIDE_PX, SIDE_PX)),
        "curve": clock.curve[-1:],
        "scores": {name: scores(model, pixels) for name, pixels in data.held_out.items()},
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
