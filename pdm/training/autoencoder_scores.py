"""Scores an autoencoder: each checkpoint during the training, and in full the finished model."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.counts import counted
from pdm.data.shards.images import ImageShards
from pdm.errors import QualityGate
from pdm.events import EventLog
from pdm.files import atomic_file
from pdm.machine.out_of_memory import explain_out_of_memory
from pdm.models.base_autoencoder import Autoencoder
from pdm.training.distributed.workers import Workers
from pdm.training.latent_space.measure import measure_latents
from pdm.training.loop.precision import autocast
from pdm.training.loop.state import TrainState
from pdm.training.monitoring.held_out import Reconstructions, psnr_by_prefix, reconstruct_held_out

logger = logging.getLogger(__name__)


class CheckpointScorer:
    """Scores each checkpoint by its reconstructions of held-out pictures, on every worker.

    On the first worker it also records the PSNR, and writes a sheet to the run's folder.

    Args:
        config: Section `autoencoder` of the params.
        held_out: Split to reconstruct.
        run: Folder of the run.
        workers: They share the pictures.
    """

    def __init__(
        self, config: AutoencoderConfig, held_out: ImageShards, run: Path, workers: Workers
    ) -> None:
        self.config, self.held_out, self.run, self.workers = config, held_out, run, workers
        self._newest: tuple[int, Reconstructions] | None = None  # by images seen

    def __call__(self, state: TrainState, events: EventLog | None) -> float:
        """Return the negative PSNR in dB of the EMA, since a smaller score is better."""
        size = (self.config.image_height_px, self.config.image_width_px)
        model = cast(Autoencoder, state.ema)
        with autocast(self.config.training, self.workers.device):
            found = reconstruct_held_out(model, self.held_out, size, self.workers)
        self._newest = state.images_seen, found
        if events is not None:
            self._record(found, state.images_seen, events)
        return -found.psnr

    def newest(self, images_seen: int) -> Reconstructions | None:
        """The reconstructions of the last scored checkpoint, if it is the one at `images_seen`."""
        if self._newest is None or self._newest[0] != images_seen:
            return None
        return self._newest[1]

    def _record(self, found: Reconstructions, images_seen: int, events: EventLog) -> None:
        path = self.run / "pictures" / f"reconstructions-{images_seen:09}.png"
        with atomic_file(path) as temporary:
            found.sheet.save(temporary, format="PNG")
        events.picture("reconstructions", path, images_seen)
        events.metrics({"val_psnr": found.psnr}, images_seen)


@dataclass(frozen=True)
class Measurements:
    """What is measured of a finished model, on held-out pictures at the training size.

    Args:
        psnr_by_levels: PSNR in dB, decoded from the coarsest level, the two coarsest, ..., all.
        redundancy_by_level: Share of each level's variance that the coarser ones explain.
    """

    psnr_by_levels: list[float]
    redundancy_by_level: list[float]

    def metrics(self) -> dict[str, float]:
        """By name, for the run's log: "val_psnr_levels_2" is the PSNR from two levels, and
        "redundancy_level_1" is of the second level; the coarsest has none."""
        psnr = {f"val_psnr_levels_{num}": one for num, one in enumerate(self.psnr_by_levels, 1)}
        shares = enumerate(self.redundancy_by_level)
        return psnr | {f"redundancy_level_{level}": share for level, share in shares if level}

    def log(self) -> None:
        """Log them. PSNR comes last, since a run's table shows the last line of each stage."""
        logger.info(
            "autoencoder: share of each level that the coarser ones predict: %s",
            ", ".join(f"{share:.2f}" for share in self.redundancy_by_level[1:]) or "one level only",
        )
        *partial, whole = (f"{psnr:.1f}" for psnr in self.psnr_by_levels)
        logger.info(
            "autoencoder: PSNR of held-out images %s dB%s",
            whole,
            f"; from fewer levels {', '.join(partial)} dB" if partial else "",
        )


def measure_model(
    config: AutoencoderConfig,
    model: Autoencoder,
    shards: Path,
    *,
    images_seen: int,
    workers: Workers,
    reconstructed: Reconstructions | None = None,
) -> Measurements:
    """Measure the EMA of a checkpoint, and set the statistics of its latents, which complete it.

    Every worker must call this.

    Args:
        config: Config of the run.
        model: The EMA, in evaluation mode. It gets the statistics in place.
        shards: Shards that the run trains on.
        images_seen: Images seen by the checkpoint, for a message.
        workers: They share the pictures, and all get the same result.
        reconstructed: Scores of this very checkpoint, if it was scored just now.

    Raises:
        Unavailable: The device has too little memory.
        QualityGate: Scores or latents are not finite.
    """
    size = (config.image_height_px, config.image_width_px)
    pictures, held_out = (ImageShards(shards, split) for split in ("train", "val"))
    known = reconstructed.by_levels if reconstructed else {}
    with explain_out_of_memory(
        workers.device,
        f"to measure the model on an image of {size[1]}x{size[0]}",
        "run the same command again on a device with more memory: the training is complete",
    ):
        with autocast(config.training, workers.device):  # as for all checkpoints
            psnr = psnr_by_prefix(model, held_out, size, workers, known)
        redundancy = measure_latents(model, pictures, held_out, size, workers)
    if not all(map(math.isfinite, [*psnr, *redundancy])):
        raise QualityGate(
            f"autoencoder: its reconstructions after {counted(images_seen, 'image')} are not "
            "finite: the training has diverged; lower learning_rate, or train in float32"
        )
    measured = Measurements(psnr, redundancy)
    measured.log()
    return measured
