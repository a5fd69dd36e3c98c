"""The values in `params.yaml`: types, units, limits and meanings.

`stages` has a module for each section. What sections contain is in `networks`, `training`,
`sampling` and `task`.

The classes have no defaults: every value is in `params.yaml`. Each checks its limits on
construction, so no other code checks them again. `pdm.params` reads the file into them.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

from pdm.config.buckets import bucket_name, training_size
from pdm.config.fields import STRICT
from pdm.config.limits import require
from pdm.config.networks.autoencoder_model import AutoencoderModelConfig
from pdm.config.networks.latent_unet import SIDE_MULTIPLES, LatentUNetConfig
from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.curate import CurateConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.stages.evaluate import EvaluateConfig
from pdm.config.stages.latents import LatentsConfig
from pdm.config.stages.sample import SampleConfig
from pdm.config.stages.scrape import ScrapeConfig
from pdm.config.stages.shard import ShardConfig
from pdm.config.task import InpaintingTask, LayoutTask, SemanticTask, SuperResolutionTask, TextTask
from pdm.counts import counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Params:
    """All of `params.yaml`: one section for each stage, in running order."""

    __pydantic_config__: ClassVar = STRICT

    scrape: ScrapeConfig
    curate: CurateConfig
    shard: ShardConfig
    autoencoder: AutoencoderConfig
    latents: LatentsConfig
    diffusion: DiffusionConfig
    sample: SampleConfig
    evaluate: EvaluateConfig

    def __post_init__(self) -> None:
        """Checks between sections."""
        weights = self.diffusion.level_loss_weights
        network = self.autoencoder.network
        if isinstance(network, AutoencoderModelConfig):
            self._check_levels(network)
        else:
            expectation = "one weight: a baseline has one level"
            require(len(weights) == 1, "diffusion.level_loss_weights", weights, expectation)
        require(
            self.diffusion.baseline is None or self.autoencoder.baseline is not None,
            "diffusion.baseline",
            self.diffusion.baseline,
            "null, or a baseline of the section autoencoder, too: LDM's network has one latent",
        )
        self._check_sides(self.autoencoder)
        require(
            self.sample.tile_px is None or self.autoencoder.decodes_parts,
            "sample.tile_px",
            self.sample.tile_px,
            "null: only a pyramid autoencoder with norm: pixel works in tiles",
        )
        self._check_judges()
        self._check_task()
        self._check_guide()
        self._check_shape()

    def _check_shape(self) -> None:
        """Check that pictures keep their shape when they are reduced, in every bucket."""
        main = (self.curate.width_px, self.curate.height_px)
        ratio = main[0] / main[1]
        size = (self.autoencoder.image_width_px, self.autoencoder.image_height_px)
        require(
            size[0] / size[1] == ratio,
            "autoencoder.image_width_px",
            size[0],
            f"the shape of the crops ({main[0]}x{main[1]} in section curate), so "
            f"{ratio * size[1]:g} for image_height_px {size[1]}",
        )
        for bucket in self.curate.buckets or ():
            try:
                width, height = training_size(bucket, main, size)
                self._check_sides(
                    replace(self.autoencoder, image_width_px=width, image_height_px=height)
                )
            except ValueError as error:
                raise ValueError(
                    f"curate.buckets: expected sizes that the autoencoder can train on, got "
                    f"{bucket_name(bucket)} ({error})"
                ) from error

    def _check_judges(self) -> None:
        """Refuse to judge the autoencoder by a network that trained it."""
        perceptual = self.autoencoder.perceptual
        for number, features in enumerate(self.evaluate.features):
            name = features.network_name
            require(
                perceptual is None or name is None or name != perceptual.network,
                f"evaluate.features.{number}.{'network' if features.network else 'kind'}",
                name,
                "another network than that of autoencoder.perceptual.network: what trains a model "
                "must not judge it",
            )

    def _check_task(self) -> None:
        """Check that other sections give the task what it needs."""
        task = self.diffusion.effective_task
        reads_pictures = isinstance(task, InpaintingTask | SuperResolutionTask)
        require(
            self.latents.keep_pictures or not reads_pictures,
            "latents.keep_pictures",
            False,
            f"true: diffusion.task {task.kind} learns from the images, too",
        )
        sources = self.scrape.sources
        require(
            not isinstance(task, SemanticTask) or any(source.has_maps for source in sources),
            "scrape.sources",
            ", ".join(source.kind for source in sources),
            "a source with maps, which diffusion.task semantic learns from: maps: true for builtin "
            "landscapes, or maps: FOLDER for a folder",
        )
        require(
            not isinstance(task, TextTask) or any(source.may_have_captions for source in sources),
            "scrape.sources",
            ", ".join(source.kind for source in sources),
            "a source with captions, which diffusion.task text learns from: name the "
            "caption_column of a list of URLs",
        )

        require(
            not isinstance(task, LayoutTask) or any(source.may_have_boxes for source in sources),
            "scrape.sources",
            ", ".join(source.kind for source in sources),
            "a source with boxes, which diffusion.task layout learns from: boxes: true for builtin "
            "landscapes, a folder with NAME.boxes.json or boxes: FILE, or the boxes_column of a "
            "list of URLs",
        )
        if isinstance(task, TextTask):
            for prompt in task.parsed_prompts:
                _check_drawn_in_training(prompt)

    def _check_guide(self) -> None:
        """Check that the training keeps the earlier EMA that guides the sampling."""
        guide, training = self.sample.guide, self.diffusion.training
        if self.sample.guidance_scale == 1 or guide is None or guide.kind != "ema":
            return
        for name, value, kept, expected in (
            ("ema_lengths", training.ema_lengths, len(training.ema_lengths) > 0, "a length"),
            (
                "save_every_images",
                training.save_every_images,
                training.save_every_images < training.total_images,
                f"less than total_images ({training.total_images:,})",
            ),
        ):
            expected += ": sample.guide is an earlier EMA; or set sample.guidance_scale to 1.0"
            require(kept, f"diffusion.training.{name}", value, expected)

    def _check_sides(self, autoencoder: AutoencoderConfig) -> None:
        """Check that LDM's network can halve the latent often enough."""
        if self.diffusion.baseline is None or autoencoder.baseline is None:
            return
        factor = autoencoder.baseline.downsampling
        multiple = factor * SIDE_MULTIPLES[self.diffusion.baseline.name]
        for name in ("image_height_px", "image_width_px"):
            side = getattr(autoencoder, name)
            expectation = (
                f"a multiple of {multiple}, for {autoencoder.baseline.name} and "
                f"diffusion.baseline {self.diffusion.baseline.name}"
            )
            require(side % multiple == 0, f"autoencoder.{name}", side, expectation)

    def _check_levels(self, autoencoder: AutoencoderModelConfig) -> None:
        levels = autoencoder.levels
        require(
            len(self.diffusion.level_loss_weights) == len(levels),
            "diffusion.level_loss_weights",
            self.diffusion.level_loss_weights,
            f"{counted(len(levels), 'weight')}, one for each of autoencoder.model.levels",
        )
        finest, coarsest = levels[-1].downsampling, levels[1].downsampling
        resolutions = (int(coarsest) // int(finest)).bit_length()
        unet = self.diffusion.network
        if isinstance(unet, LatentUNetConfig):
            return
        require(
            len(unet.widths) == resolutions,
            "diffusion.model.widths",
            unet.widths,
            f"{counted(resolutions, 'width')}, one for each downsampling from {finest} "
            f"to {coarsest}",
        )


def _check_drawn_in_training(prompt: Prompt) -> None:
    """Refuse options that the sheets of a training cannot follow. Not a check of the task itself,
    which is read from older models, too."""
    key, fixed = "diffusion.task.prompts", (prompt.steps, prompt.width_px, prompt.height_px)
    expected = "no --s, --w or --h: what a training draws has the same steps and size"
    require(fixed == (None, None, None), key, prompt.text, expected)
    useless = bool(prompt.negative) and prompt.guidance_scale in (None, 1)
    expected = f"a guidance scale beside --n {prompt.negative}, such as --l 3"
    require(not useless, key, prompt.text, expected)
