"""The stage `autoencoder`: trains the pyramid autoencoder on pictures from the shards."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from pdm.config.autoencoder import AutoencoderConfig
from pdm.data.order import images_at
from pdm.data.pixels import Pixels, RawImages
from pdm.data.shards import manifest
from pdm.data.shards.images import ImageShards
from pdm.device import log_device
from pdm.events import EventLog
from pdm.files import atomic_file
from pdm.models.codec import Autoencoder
from pdm.models.regions import random_region
from pdm.registry import build_autoencoder
from pdm.training.checkpoints import earlier_runs, finished, snapshots
from pdm.training.checkpoints.plan import TrainingPlan, plan_training
from pdm.training.checkpoints.run_folder import RunFolder, checkpoints_of, restore_newest
from pdm.training.checkpoints.run_record import RunRecord
from pdm.training.distributed.launchers import Launch, is_first_process, launch_on_ray
from pdm.training.distributed.workers import Workers
from pdm.training.init_from import Origin, check_source, initialise
from pdm.training.latent_space.measure import measure_latents
from pdm.training.loop.compilation import prepare_blocks
from pdm.training.loop.optimizer import DiscriminatorTraining
from pdm.training.loop.out_of_memory import explain_out_of_memory
from pdm.training.loop.precision import autocast
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import generator_at, normal_pyramid_at, uniform_at
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train
from pdm.training.monitoring.example_batches import autoencoder_batch
from pdm.training.monitoring.flops import flops_of
from pdm.training.monitoring.held_out import (
    held_out_psnr,
    psnr_by_prefix,
    reconstruction_sheet,
)
from pdm.training.monitoring.model_card import autoencoder_card
from pdm.training.monitoring.utilisation import copy_to_meta, flops_per_image
from pdm.training.objectives.adversarial import AdversarialLoss
from pdm.training.objectives.equivariance import factors_that_fit
from pdm.training.objectives.losses import LARGEST_CROP_PX, AutoencoderLosses, Plan
from pdm.training.objectives.perceptual import load_perceptual, network_name

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Everything a worker needs. Paths are absolute; those in `config` are relative to
    `working_folder`."""

    config: AutoencoderConfig
    shards: Path
    run: Path
    model: Path
    working_folder: Path = Path()


def run_folder(config: AutoencoderConfig, *, shards: Path, runs: Path) -> Path:
    """Return the folder of the run with these settings and shards.

    Raises:
        BadInput: The shards have no manifest.
    """
    manifest.load(shards)
    return runs / _record(config, shards).name


def plan(config: AutoencoderConfig, *, shards: Path, runs: Path, model: Path) -> TrainingPlan:
    """What `train_autoencoder` would do, and what becomes of the model that is there.

    Raises:
        BadInput: The shards have no manifest.
    """
    manifest.load(shards)
    return plan_training(runs, _record(config, shards), config, model)


def train_autoencoder(
    config: AutoencoderConfig,
    *,
    shards: Path,
    run: Path,
    model: Path,
    curves: Path,
    launch: Launch = launch_on_ray,
) -> None:
    """Train, or resume training, and write the model.

    Args:
        config: Section `autoencoder` of the params.
        shards: Written by the stage `shard`.
        run: Folder from `run_folder`, for events, checkpoints and, at the end, the model.
        model: Folder to write the trained model to: the EMA weights and the latents' statistics.
        curves: CSV file to write the losses to.
        launch: Starts the workers.

    Raises:
        BadInput, QualityGate: The shards are missing or damaged.
        BadInput: The perceptual network, or the model to start from, is missing or has another
            sha256.
        QualityGate: A loss is not finite.
        Unavailable: The cluster has fewer CPUs or GPUs than workers.
        Preempted: SIGTERM arrived; a checkpoint was saved.
    """
    ImageShards(shards, "train"), ImageShards(shards, "val")  # fail here rather than on the cluster
    if config.perceptual:
        load_perceptual(config.perceptual, torch.device("cpu"))
    if config.init_from:
        check_source(config.init_from, "autoencoder")
    if is_first_process():
        earlier_runs.prepare(run, _record(config, shards), config)
    if config.perceptual and config.perceptual.path:
        path = str(Path(config.perceptual.path).absolute())
        config = replace(config, perceptual=replace(config.perceptual, path=path))
    paths = (path.absolute() for path in (shards, run, run / finished.MODEL, Path()))
    settings = Settings(config, *paths)
    launch(_work, settings, num_workers=config.training.num_workers, run=run)
    if is_first_process():
        finished.publish(run, config.training, model=model, curves=curves)


def _record(config: AutoencoderConfig, shards: Path) -> RunRecord:
    return RunRecord.of("autoencoder", config, {"shards": manifest.digest(shards)})


class Pictures:
    """Training pictures by position in the run, some of them mirrored, with noise for their
    latents.

    Some are close-ups: crops of the training size from the picture at 2, 4, ... times that size, up
    to full resolution, so that the network learns detail at every scale that it will decode.

    Args:
        shards: The split to train on.
        config: Size of the pictures, share of mirrored pictures, seed.
        model: Gives the shapes of the latents.
    """

    def __init__(self, shards: ImageShards, config: AutoencoderConfig, model: Autoencoder) -> None:
        self.shards, self.config = shards, config
        self.size = (config.image_height_px, config.image_width_px)
        whole = int(shards.manifest.facts["height_px"])
        self.num_doublings = (whole // config.image_height_px).bit_length() - 1
        self.level_shapes = model.level_shapes(*self.size)
        self.factors = factors_that_fit(self.size, model.level_downsamplings) or (1,)

    def load(self, positions: range) -> Batch:
        """Load images as bytes, noise, and the step's plan."""
        seed = self.config.training.seed
        mirrored = uniform_at(seed, positions, "mirror") < self.config.horizontal_flip
        pixels = torch.from_numpy(self._pixels(positions))
        images = RawImages(pixels, mirrored.nonzero()[:, 0])
        noise = normal_pyramid_at(seed, positions, "latents", self.level_shapes)
        return images, noise, self._plan(positions.start)

    def _plan(self, position: int) -> Plan:
        batch_size = self.config.training.batch_size
        step = position // batch_size
        levels, downscaling, window, crop = (
            generator_at(self.config.training.seed, step, purpose)
            for purpose in ("levels", "shrinking", "window", "crop")
        )
        side = self.config.crop_px
        most = max(1, len(self.level_shapes) - 1)  # a single level has no shorter prefix
        return Plan(
            num_levels=int(torch.randint(1, most + 1, (), generator=levels)),
            downscaling=self.factors[
                int(torch.randint(len(self.factors), (), generator=downscaling))
            ],
            images_seen=step * batch_size,
            region=None if side is None else random_region(self.size, side, window),
            crop=random_region(self.size if side is None else (side, side), LARGEST_CROP_PX, crop),
        )

    def _pixels(self, positions: range) -> Pixels:
        """uint8 (B, H, W, 3): whole pictures, and close-ups of some."""
        seed, indices = self.config.training.seed, self._indices(positions)
        pixels = self.shards.batch(indices, *self.size)
        draws = [uniform_at(seed, positions, name) for name in ("close", "scale", "row", "column")]
        for place, (close, scale, row, column) in enumerate(zip(*draws, strict=True)):
            if close < self.config.close_up and self.num_doublings:
                factor = 2 ** (1 + int(scale * self.num_doublings))
                height, width = (side * factor for side in self.size)
                larger = self.shards.batch([indices[place]], height, width)[0]
                top, left = int(row * (height - self.size[0])), int(column * (width - self.size[1]))
                pixels[place] = larger[top : top + self.size[0], left : left + self.size[1]]
        return pixels

    def keys(self, positions: range) -> list[str]:
        """Return the keys of the pictures."""
        return [self.shards.keys[index] for index in self._indices(positions)]

    def _indices(self, positions: range) -> list[int]:
        found: list[int] = images_at(
            positions, len(self.shards), self.config.training.seed
        ).tolist()
        return found


def _work(settings: Settings, workers: Workers) -> None:
    """Train; runs on every worker."""
    config, training = settings.config, settings.config.training
    if workers.is_first:
        log_device(workers.device, training.precision, num_workers=workers.count)
    images, held_out = (ImageShards(settings.shards, split) for split in ("train", "val"))
    size = (config.image_height_px, config.image_width_px)
    torch.manual_seed(training.seed)
    model = build_autoencoder(config).to(workers.device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast
    origin = initialise(
        model,
        config.init_from,
        stage="autoencoder",
        working_folder=settings.working_folder,
        listed=[settings.shards],
        run=settings.run,
        is_first=workers.is_first,
    )

    def draw(state: TrainState, events: EventLog | None) -> float:
        with autocast(training, workers.device):
            sheet = reconstruction_sheet(ema_model(state), held_out, size, workers)
            score = held_out_psnr(ema_model(state), held_out, size, workers)
        if events is not None:
            path = settings.run / "pictures" / f"reconstructions-{state.images_seen:09}.png"
            with atomic_file(path) as temporary:
                sheet.save(temporary, format="PNG")
            events.picture("reconstructions", path, state.images_seen)
            events.metrics({"val_psnr": score}, state.images_seen)
        return -score

    losses = _losses(model, config, workers.device)
    share = training.batch_size // (workers.count * training.accumulation)
    flops = flops_per_image(losses, autoencoder_batch(config, model, share))
    state = TrainState(model, training, _discriminator_training(losses))
    restore_newest(state, checkpoints_of(settings.run, training), workers)
    run = RunFolder(settings.run, "autoencoder", training, workers, state.images_seen, draw)
    prepare_blocks(model, training, workers.device)
    network = workers.wrap(losses, training)
    pictures = Pictures(images, config, model)
    train(state, network, pictures, training, run, workers, flops_per_image=flops)
    metrics = write_model(
        config,
        ema_model(state),
        shards=settings.shards,
        run=settings.run,
        folder=settings.model,
        images_seen=state.images_seen,
        origin=origin,
        workers=workers,
    )
    if run.events is not None:
        run.events.metrics(metrics, state.images_seen)


def _judge(config: AutoencoderConfig) -> dict[str, str]:
    """The network that judged in the training: it must not score the model, too."""
    name = network_name(config.perceptual) if config.perceptual else None
    return {"perceptual_network": name} if name else {}


def _losses(
    model: Autoencoder, config: AutoencoderConfig, device: torch.device
) -> AutoencoderLosses:
    """Build the model with its losses."""
    perceptual = load_perceptual(config.perceptual, device) if config.perceptual else None
    adversary = AdversarialLoss(config.adversarial).to(device) if config.adversarial else None
    return AutoencoderLosses(model, config, perceptual, adversary)


def _discriminator_training(losses: AutoencoderLosses) -> DiscriminatorTraining | None:
    if losses.adversary is None:
        return None
    config = losses.adversary.config
    return DiscriminatorTraining(losses.adversary, config.learning_rate, config.start_images)


def ema_model(state: TrainState) -> Autoencoder:
    """Return the EMA of the model."""
    assert isinstance(state.ema, Autoencoder)
    return state.ema


def write_model(
    config: AutoencoderConfig,
    model: Autoencoder,
    *,
    shards: Path,
    run: Path,
    folder: Path,
    images_seen: int,
    origin: Origin,
    workers: Workers,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, float]:
    """Measure the EMA of a checkpoint, and write a model folder. Every worker must call this.

    Args:
        config: Config of the run.
        model: The EMA of the checkpoint; it gets the statistics of its latents here.
        shards: Shards that the run trains on.
        run: Folder of the run, with the checkpoint.
        folder: Folder to write, atomically.
        images_seen: Images seen by the checkpoint.
        origin: What the run started from.
        workers: Share the measurements; the first writes the folder.
        facts: Further entries of `config.json`.

    Raises:
        Unavailable: The device has too little memory.

    Returns:
        "val_psnr_levels_2": PSNR of held-out pictures in dB, decoded from two levels; likewise for
        one, three, ... "redundancy_level_1": share of the variance of the second level that the
        coarser one explains; likewise for the others but the first.
    """
    size = (config.image_height_px, config.image_width_px)
    scores, redundancy = _measure(model, shards, size, workers)
    if workers.is_first:
        with snapshots.for_model(run, config.training.ema_lengths, images_seen) as ema_folder:
            model.save_pretrained(
                folder,
                card=autoencoder_card(
                    model,
                    config,
                    shards,
                    psnr_by_levels=scores,
                    redundancy_by_level=redundancy,
                    images_seen=images_seen,
                    init_from=origin.facts.get("init_from"),
                ),
                beside=[origin.pictures, ema_folder],
                image_height_px=size[0],
                image_width_px=size[1],
                shards_sha256=manifest.digest(shards),
                images_seen=images_seen,
                **origin.facts,
                parameters=sum(weight.numel() for weight in model.parameters()),
                forward_flops=_forward_flops(model, config),
                val_psnr_by_levels=scores,
                redundancy_by_level=redundancy,
                **_judge(config),
                **(facts or {}),
            )
    psnr = {f"val_psnr_levels_{count}": score for count, score in enumerate(scores, start=1)}
    shares = {f"redundancy_level_{k}": share for k, share in enumerate(redundancy) if k}
    return psnr | shares


def _measure(
    model: Autoencoder, shards: Path, size: tuple[int, int], workers: Workers
) -> tuple[list[float], list[float]]:
    """Set the statistics of the latents; give the PSNR by prefix and the redundancy of each
    level."""
    pictures, held_out = (ImageShards(shards, split) for split in ("train", "val"))
    with explain_out_of_memory(
        workers.device,
        f"to measure the model on a picture of {size[1]}x{size[0]}",
        "run the same command again on a device with more memory: the training is complete",
    ):
        scores = psnr_by_prefix(model, held_out, size, workers)
        redundancy = measure_latents(model, pictures, held_out, size, workers)
    logger.info(
        "autoencoder: PSNR of held-out pictures by number of decoded levels: %s dB",
        ", ".join(f"{score:.1f}" for score in scores),
    )
    logger.info(
        "autoencoder: share of each level that the coarser ones predict: %s",
        ", ".join(f"{share:.2f}" for share in redundancy[1:]) or "one level only",
    )
    return scores, redundancy


def _forward_flops(model: Autoencoder, config: AutoencoderConfig) -> int:
    """Count the operations of encoding and decoding one picture."""
    size = (config.image_height_px, config.image_width_px)
    on_meta, picture = copy_to_meta(model), torch.empty(1, 3, *size, device="meta")
    return flops_of(lambda: on_meta.decode(on_meta.encode(picture), size))
