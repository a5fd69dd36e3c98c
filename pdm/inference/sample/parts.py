"""Draws the images of the stage `sample` part by part: batches of seeds, previews, and an image
at full size. Each part is complete in the folder before its record is."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.sample import SampleConfig
from pdm.config.task import LayoutTask, TextTask
from pdm.data.image_tensors import to_images, to_pixels
from pdm.data.pixels import Pixels
from pdm.data.provenance import pixels_sha256, png_text
from pdm.data.shards.images import ImageShards
from pdm.files import atomic_file
from pdm.inference.any_size.large import LargeImage
from pdm.inference.any_size.samples import large_samples, load_enlarger, write_sample
from pdm.inference.conditioning import Conditioning, HeldOut
from pdm.inference.decoding import decode_to_pixels
from pdm.inference.image_sizes import SizesInTurn, sizes_of
from pdm.inference.latent_sampling import draw_numbers
from pdm.inference.layouts import Layouts, ShownLayout
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.prompts import Prompts, config_for_loading, text_task
from pdm.inference.sample.previews import write_previews
from pdm.inference.sampling_networks import Networks, load_networks
from pdm.inference.trained_size import size_of
from pdm.machine.device import choose_device, log_device
from pdm.machine.limits import usable_cpus
from pdm.model_record import record_of
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Pyramid
from pdm.parallel.part_folder import PartFolder
from pdm.registry import load_autoencoder
from pdm.tasks.find import build_task, task_of_model
from pdm.tasks.layout import BoxLayout

PREVIEWS, FULL_SIZE = "previews", "full-size"  # parts, and folders, beside the batches
Row = dict[str, Any]  # of `samples.json`


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleTask:
    """Everything that a worker needs. Paths are absolute."""

    config: SampleConfig
    autoencoder: Path
    diffusion: Path
    shards: Path
    folder: PartFolder
    facts: dict[str, Any]  # of all images, for their provenance
    prompts: tuple[Prompt, ...] = ()  # for a model of text
    layouts: tuple[ShownLayout, ...] = ()  # for a model of layouts
    tiles_at_once: int = 1  # of images of a size of their own; at most


def parts_of(config: SampleConfig) -> list[str]:
    """Name the parts: batches by the number of their first image, then what is beside them."""
    batches = [name_of(start) for start in range(0, config.num_images, config.batch_size)]
    beside = ((PREVIEWS, config.previews is not None), (FULL_SIZE, config.full_size_picture))
    return batches + [name for name, wanted in beside if wanted]


def name_of(number: int) -> str:
    """Name of an image's file, without its extension, and of the batch that begins with it."""
    return f"{number:06}"


def draw_parts(task: SampleTask, parts: Sequence[str], on_done: Callable[[str], None]) -> None:
    """Draw some parts, and call `on_done` after each. While a batch is drawn, the images of the
    one before are encoded and written."""
    device = choose_device()
    log_device(device, task.config.precision)
    renderer = SampleRenderer(task, device)

    def finish(part: str, record: Callable[[], Any]) -> None:
        task.folder.finish(part, record())
        on_done(part)

    with ThreadPoolExecutor(usable_cpus(), "png") as pool:
        previous: tuple[str, Callable[[], Any]] | None = None
        for part in parts:
            current = part, renderer.begin(part, pool)
            if previous:
                finish(*previous)
            previous = current
        if previous:
            finish(*previous)


class SampleRenderer:
    """The models of a task on this process's device, and what is drawn with them."""

    def __init__(self, task: SampleTask, device: torch.device) -> None:
        self.task, self.config, self.device = task, task.config, device
        self.autoencoder: Autoencoder = load_autoencoder(task.autoencoder).to(device)
        facts = record_of(task.diffusion)
        self.main_size = size_of(facts)
        conditioning = self._conditioning(facts)
        config = config_for_loading(task.config, task.prompts)
        self.networks: Networks = load_networks(task.diffusion, config, device, conditioning)
        self.sizes = SizesInTurn(sizes_of(facts), self.networks.conditioning, self.config.seed)
        large = large_samples(self.config, facts)
        of_tiles = dataclasses.replace(self.config, batch_size=task.tiles_at_once)
        self.large = large and load_enlarger(large, of_tiles)
        task_config = task_of_model(facts, self.networks.network.condition_sizes)
        self.models = LoadedModels(
            *(self.autoencoder, self.networks, of_tiles, task_config, self.main_size, task.facts),
            sizes=tuple(one.size for one in sizes_of(facts) if one.is_trained),
        )

    def _conditioning(self, facts: dict[str, Any]) -> Conditioning | None:
        """Return the prompts, layouts or held-out images that a task works on; None for
        others."""
        config = task_of_model(facts, None)
        if isinstance(config, TextTask):
            task_of_text = text_task(self.task.diffusion, config)
            return Prompts(self.task.prompts, task_of_text, self.config)
        if isinstance(config, LayoutTask):
            return Layouts(self.task.layouts, BoxLayout(config, facts), self.config.seed)
        task = build_task(config, facts)
        if not (task.needs_pictures or task.needs_maps):
            return None
        return HeldOut(task, ImageShards(self.task.shards, "val"), self.main_size, self._encode)

    @torch.no_grad()
    def _encode(self, pixels: Pixels) -> Pyramid:
        return self.autoencoder.encode(to_images(pixels, self.device))

    def begin(self, part: str, pool: ThreadPoolExecutor) -> Callable[[], Any]:
        """Draw a part. The returned function waits until it is written, and returns its record: the
        rows of a batch, or the facts of the full-size image."""
        if part == PREVIEWS:
            self._write_previews()
            return lambda: None
        if part == FULL_SIZE:
            facts = self._write_full_size()
            return lambda: facts
        if self.large:
            large_rows = [self._draw_large(self.large, number) for number in self._numbers(part)]
            return lambda: large_rows
        rows = self._draw(part, pool)
        return lambda: [row.result() for row in rows]

    def _draw(self, part: str, pool: ThreadPoolExecutor) -> list[Future[Row]]:
        """Draw a batch, and let the pool write its images."""
        numbers = self._numbers(part)
        rows = {
            number: pool.submit(self._write, number, picture)
            for size, group in self.sizes.groups(numbers).items()
            for members, latents in draw_numbers(self.networks, self.config, group, size.shapes)
            for number, picture in zip(members, self._decode(latents, size.size), strict=True)
        }
        return [rows[number] for number in numbers]

    def _numbers(self, part: str) -> range:
        """Return the numbers of a batch's images."""
        start = int(part)
        return range(start, min(start + self.config.batch_size, self.config.num_images))

    def _draw_large(self, large: LargeImage, number: int) -> Row:
        path = self.task.folder.files / f"{name_of(number)}.png"
        return write_sample(large, self.models, number, path, self.task.facts)

    def _decode(self, latents: Pyramid, size: tuple[int, int]) -> Pixels:
        return decode_to_pixels(self.autoencoder, latents, size, self.config)

    def _write(self, number: int, picture: Pixels) -> Row:
        """Write one image with its provenance, and return its row of the list."""
        seed = self.config.seed + number
        picture = self.networks.conditioning.finish(seed, picture)
        conditioning = self.networks.conditioning
        own = conditioning.seed_of(number) if isinstance(conditioning, Prompts) else seed
        origin = {"seed": own} | conditioning.origin(seed)
        if len(self.sizes.sizes) > 1:  # else the models say it
            height, width = self.sizes.size_of(number).size
            origin |= {"width_px": width, "height_px": height}
        file = f"{name_of(number)}.png"
        with atomic_file(self.task.folder.files / file) as temporary:
            chunk = png_text(self.task.facts | origin)
            Image.fromarray(picture).save(temporary, format="PNG", pnginfo=chunk)
        return {"file": file, "pixels_sha256": pixels_sha256(picture)} | origin

    def _write_previews(self) -> None:
        """Write how the first images form."""
        folder = self.task.folder.files / PREVIEWS
        write_previews(
            folder,
            self.config,
            self.autoencoder,
            self.networks,
            self.sizes,
        )

    @torch.no_grad()
    def _write_full_size(self) -> Row:
        """Encode and decode the first held-out image at the shards' full size."""
        held_out = ImageShards(self.task.shards, "val")
        height, width = (int(held_out.manifest.facts[name]) for name in ("height_px", "width_px"))
        original = held_out.load(0, height, width)
        height, width = original.shape[:2]
        began = time.perf_counter()
        images = to_images(original[None]).to(self.device)
        latents = self.autoencoder.encode(images, self.config.tile_px)
        [decoded] = to_pixels(
            self.autoencoder.decode(latents, (height, width), self.config.tile_px)
        )
        seconds = time.perf_counter() - began
        folder = self.task.folder.files / FULL_SIZE
        folder.mkdir(exist_ok=True)
        Image.fromarray(original).save(folder / "original.png")
        Image.fromarray(decoded).save(folder / "decoded.png")
        error = np.square(original.astype(np.float64) - decoded).mean()
        psnr = float(10 * np.log10(255**2 / max(error, 1e-9)))
        facts = {"key": held_out.keys[0], "psnr": psnr, "width_px": width, "height_px": height}
        return facts | {"seconds": seconds}
