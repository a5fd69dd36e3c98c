"""The pipeline of diffusers that draws from any model of this project."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline, ImagePipelineOutput
from PIL import Image

from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.sample import GuideConfig, SampleConfig
from pdm.config.task import LayoutTask, SemanticTask, SuperResolutionTask, TextTask
from pdm.counts import counted
from pdm.data.annotations.maps import names_of
from pdm.data.decoding.orientation import decode_upright
from pdm.data.pixels import Pixels
from pdm.inference.conditioning import Classes, choose_classes
from pdm.inference.image_sizes import sizes_of
from pdm.inference.layouts import Layouts, parse_layout
from pdm.inference.pictures import inpaint, paint, upscale
from pdm.inference.pictures.draw import draw, drawings_of_layout
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.prompts import check_guidance
from pdm.inference.sampling_networks import Networks
from pdm.inference.trained_size import size_of
from pdm.pipelines.components import AutoencoderModel, DiffusionModel
from pdm.tasks.find import task_of_model
from pdm.tasks.partial_pictures.masks import Mask


class PyramidPipeline(DiffusionPipeline):
    """Draws the same images as `pyramid sample` and the commands that draw, by the same seeds."""

    def __init__(self, autoencoder: AutoencoderModel, diffusion: DiffusionModel) -> None:
        super().__init__()
        self.register_modules(  # type: ignore[no-untyped-call]
            autoencoder=autoencoder, diffusion=diffusion
        )

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | None = None,
        *,
        image: Image.Image | None = None,
        mask_image: Image.Image | None = None,
        seed: int = 0,
        num_images: int = 1,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        classes: Sequence[str] | None = None,
        boxes: Sequence[Mapping[str, Any]] | None = None,
        output_type: str = "pil",
    ) -> ImagePipelineOutput:
        """Draw images of the seeds `seed`, `seed + 1`, ...

        Args:
            prompt: Of a model of text.
            image: To enlarge, to fill in, or a map of class indices (mode P or L). Turned upright
                if its EXIF says so, as in the commands; `mask_image`, too.
            mask_image: White where `image` is to be filled in; all other pixels stay.
            seed: Of the first image.
            num_images: Number of images.
            height, width: Of images without an `image`, in pixels; None for the main size that
                the model was trained at. Others it draws as a whole.
            num_inference_steps: In place of `steps` in `sampling.json`.
            guidance_scale: In place of that of `sampling.json`.
            negative_prompt: What guidance steers away from.
            classes: To draw in turn, of a model of classes; None for all.
            boxes: Of a model of layouts: each with class, x, y, width and height, as shares.
            output_type: pil, or np for float arrays (B, H, W, 3) in [0, 1].

        Raises:
            ValueError: The arguments do not fit the model's task.
            BadInput: As in the command for the model's task.
        """
        self._check_inputs(prompt, image, mask_image, boxes)
        self._check_unused(prompt, negative_prompt, image, mask_image, height or width)
        if output_type not in ("pil", "np"):
            raise ValueError(f"output_type is {output_type!r}; it must be 'pil' or 'np'")
        models = self._models_for(num_inference_steps, guidance_scale, classes)
        size = _check_size(models, height, width)
        if prompt is not None:
            height, width = size
            wish = Prompt(
                prompt, seed=seed, negative=negative_prompt, height_px=height, width_px=width
            )
            check_guidance([wish], models.config, "the prompt")
            drawn: Iterator[Pixels] = (each for _, each, _ in draw(models, wish, num_images))
        elif boxes is not None:
            layout = parse_layout(list(boxes), _layouts_of(models).task)
            seeds = range(seed, seed + num_images)
            drawings = drawings_of_layout(models, layout, seeds)
            drawn = (each.at_size(size).draw() for each in drawings)
        else:
            seeds = range(seed, seed + num_images)
            drawn = _draw(models, _upright(image), _upright(mask_image), seeds, size)
        pictures = []
        with self.progress_bar(total=num_images) as bar:
            for picture in drawn:
                pictures.append(Image.fromarray(picture))
                bar.update()
        if output_type == "np":
            arrays = np.stack([np.asarray(one, np.float32) / 255 for one in pictures])
            return ImagePipelineOutput(images=arrays)
        return ImagePipelineOutput(images=pictures)

    def _check_inputs(self, prompt: Any, image: Any, mask_image: Any, boxes: Any) -> None:
        task = task_of_model(self.diffusion.record, None)
        needs_text = isinstance(task, TextTask)
        needs_image = isinstance(task, SuperResolutionTask | SemanticTask)
        if needs_text != (prompt is not None):
            raise ValueError(
                f"a model trained for {task.kind} {'needs a' if needs_text else 'takes no'} prompt"
            )
        if isinstance(task, LayoutTask) != (boxes is not None):
            how = "takes no" if boxes is not None else "needs"
            raise ValueError(f"a model trained for {task.kind} {how} boxes")
        if needs_image and image is None:
            raise ValueError(f"a model trained for {task.kind} needs an image")
        if (mask_image is not None) and image is None:
            raise ValueError("mask_image needs the image that is to be filled in")

    def _check_unused(
        self, prompt: Any, negative_prompt: Any, image: Any, mask_image: Any, side: int | None
    ) -> None:
        """Refuse arguments that would have no effect."""
        kind = task_of_model(self.diffusion.record, None).kind
        if negative_prompt is not None and prompt is None:
            raise ValueError(f"a model trained for {kind} takes no negative_prompt")
        if image is not None and (prompt is not None or kind == "layout"):
            given = "boxes" if kind == "layout" else "a prompt"
            raise ValueError(f"a model trained for {kind} takes only {given}; leave out the image")
        if mask_image is not None and kind in ("super_resolution", "semantic"):
            raise ValueError(f"a model trained for {kind} takes no mask_image")
        if image is not None and side is not None:
            raise ValueError("the image determines the size; leave out height and width")

    def _models_for(
        self, steps: int | None, scale: float | None, classes: Sequence[str] | None
    ) -> LoadedModels:
        model: DiffusionModel = self.diffusion
        networks, config, record = model.networks, model.sampling, model.record
        if steps is not None:
            config = dataclasses.replace(config, steps=steps)
        if scale is not None:
            networks, config = _with_guidance(networks, config, scale)
        if networks.stops is not None and config != model.sampling:
            steps_known = counted(model.sampling.steps, "step")
            raise ValueError(
                f"this network was distilled for exactly {steps_known} without "
                "guidance; leave out num_inference_steps and guidance_scale, or export the models "
                "with another number of steps (sample.steps)"
            )
        if isinstance(networks.conditioning, Classes) and classes:
            names = networks.conditioning.names
            chosen = Classes(choose_classes(tuple(classes), names, "this model"), names)
            networks = dataclasses.replace(networks, conditioning=chosen)
        elif classes:
            raise ValueError(
                f"classes are {list(classes)}, but this model was trained without classes"
            )
        task = task_of_model(record, networks.network.condition_sizes)
        autoencoder = self.autoencoder.network
        sizes = tuple(one.size for one in sizes_of(record) if one.is_trained)
        main = size_of(record)
        return LoadedModels(autoencoder, networks, config, task, main, {}, names_of(record), sizes)


def _with_guidance(
    networks: Networks, config: SampleConfig, scale: float
) -> tuple[Networks, SampleConfig]:
    """Return both with another guidance scale; the guide is the network without its condition,
    unless there is one."""
    guide, settings = networks.guide, config.guide
    if scale != 1 and guide is None:
        if networks.network.condition_sizes is None:
            raise ValueError(
                f"guidance_scale is {scale}, but this model takes no condition and was exported "
                "without a guide; export it with sample.guide, or take a scale of 1"
            )
        guide, settings = networks.network, GuideConfig(kind="unconditional")
    return (
        dataclasses.replace(networks, guide=guide),
        dataclasses.replace(config, guidance_scale=scale, guide=settings),
    )


def _layouts_of(models: LoadedModels) -> Layouts:
    conditioning = models.networks.conditioning
    assert isinstance(conditioning, Layouts)  # of `_check_inputs`
    return conditioning


def _draw(
    models: LoadedModels,
    image: Image.Image | None,
    mask_image: Image.Image | None,
    seeds: range,
    size: tuple[int, int],
) -> Iterator[Pixels]:
    """Draw what a model without text draws."""
    if isinstance(models.task, SuperResolutionTask):
        assert image is not None
        task = upscale.super_resolution_task(models, None)
        for seed in seeds:
            yield upscale.upscale(models, task, _pixels(image), seed)
    elif isinstance(models.task, SemanticTask):
        assert image is not None
        yield from paint.paint(models, np.asarray(image), seeds)
    elif image is not None:
        inpaint.check_model(models)
        yield from inpaint.inpaint(models, _pixels(image), _mask(image, mask_image), seeds)
    else:
        count = models.config.batch_size
        for start in range(seeds.start, seeds.stop, count):
            yield from models.draw(range(start, min(start + count, seeds.stop)), size)


def _check_size(models: LoadedModels, height: int | None, width: int | None) -> tuple[int, int]:
    """Return the (H, W) of images to draw."""
    size, multiple = (height or models.size[0], width or models.size[1]), models.side_multiple
    if size[0] % multiple or size[1] % multiple:
        raise ValueError(
            f"height and width are {size[0]} and {size[1]}, but must be multiples of {multiple}"
        )
    return size


def _upright(image: Image.Image | None) -> Image.Image | None:
    return None if image is None else decode_upright(image)


def _pixels(image: Image.Image) -> Pixels:
    return np.array(image.convert("RGB"))


def _mask(image: Image.Image, mask_image: Image.Image | None) -> Mask:
    if mask_image is None or mask_image.size != image.size:
        size = "none" if mask_image is None else "x".join(map(str, mask_image.size))
        raise ValueError(
            f"mask_image is {size}; it must have the image's size {image.size[0]}x{image.size[1]}"
        )
    return np.asarray(mask_image.convert("L")) >= 128
