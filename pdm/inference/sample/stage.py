"""Draws the samples that no earlier run has drawn, and publishes them with their list and sheet."""

import dataclasses
import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from pdm.config.sampling.prompts import Prompt
from pdm.config.stages.sample import SampleConfig
from pdm.counts import counted
from pdm.data.shards import manifest
from pdm.errors import BadInput
from pdm.files import sha256_of, write_json
from pdm.inference.any_size.samples import check_enlarger_of, large_samples
from pdm.inference.image_sizes import sizes_of
from pdm.inference.layouts import ShownLayout, read_layouts
from pdm.inference.prompts import read_prompts
from pdm.inference.sample.parts import FULL_SIZE, PREVIEWS, Row, SampleTask, draw_parts, parts_of
from pdm.inference.sample.sheet import write_sheet
from pdm.inference.sample_settings import settings_of
from pdm.inference.sampling_networks import check_few_steps, few_steps_facts
from pdm.model_record import record_of
from pdm.parallel.part_folder import part_folder
from pdm.parallel.run import run_parts
from pdm.progress import Progress
from pdm.tasks.find import build_task, task_of_model
from pdm.versions import versions

logger = logging.getLogger(__name__)


def sample_images(
    config: SampleConfig,
    *,
    autoencoder: Path,
    diffusion: Path,
    shards: Path,
    samples: Path,
    num_workers: int | None = None,
) -> None:
    """Write the images, `samples.json` and `contact-sheet.png`; if configured, also `previews/`
    (see `pdm.inference.sample.previews`) and `full-size/`.

    Images are written as they are drawn, batch by batch, to a folder beside `samples`, and none
    is kept in memory. After a kill, the same command draws the missing ones; the result is that of
    an unbroken run. The sheet shows the first 48, reduced if they are large.

    Image i has the seed `config.seed + i` and does not depend on its batch. Its class follows
    from the seed: images cycle through the classes. They cycle through prompts by their number,
    see `pdm.inference.prompts`, and through the sizes of a model that knows several, see
    `pdm.inference.image_sizes`.

    Args:
        config: Section `sample` of the params.
        autoencoder: Folder of the autoencoder.
        diffusion: Folder of the diffusion model, trained on this autoencoder's latents.
        shards: Shards; one held-out image is encoded and decoded at full size, if configured.
        samples: Folder to write.
        num_workers: See `pdm.parallel.run.run_parts`.

    Raises:
        BadInput: A model is missing, the models do not match, the diffusion model has no EMA
            snapshots for `ema_length`, prompts do not fit it, or the enlarger cannot enlarge.
    """
    facts = record_of(diffusion)
    digests = _digests_of_models(autoencoder, diffusion, facts)
    tiles_at_once, of_enlarger = config.batch_size, dict[str, str]()
    if large_samples(config, facts):
        of_enlarger = check_enlarger_of(config)
        config = dataclasses.replace(config, batch_size=1)  # each is a part that survives a kill
    prompts = read_prompts(config, diffusion, shards)
    layouts = read_layouts(config, diffusion, shards)
    untrained = facts.get("images_seen") == 0
    if untrained:
        logger.warning("sample: RANDOM WEIGHTS: %s has seen no image and draws noise", diffusion)
        config = dataclasses.replace(config, guidance_scale=1.0)  # it has no earlier self
        prompts = tuple(dataclasses.replace(prompt, guidance_scale=None) for prompt in prompts)
    check_few_steps(diffusion, config, prompts)
    drawn = {
        **settings_of(config),
        **digests,
        **({"untrained": True} if untrained else {}),
        **few_steps_facts(diffusion, config),
        **of_enlarger,
    }
    data = manifest.digest(shards) if _reads_shards(config, facts) else None
    with part_folder(samples, _key(config, drawn, data, prompts, layouts)) as folder:
        task = SampleTask(
            config=config,
            autoencoder=autoencoder.absolute(),
            diffusion=diffusion.absolute(),
            shards=shards.absolute(),
            folder=folder.absolute(),
            facts=drawn,
            prompts=prompts,
            layouts=layouts,
            tiles_at_once=tiles_at_once,
        )
        _draw_missing(task, num_workers)
        _publish(task)
    _log_result(config, facts, samples)


def _digests_of_models(
    autoencoder: Path, diffusion: Path, record: dict[str, Any]
) -> dict[str, str]:
    """Return the sha256 of both models, which must belong together.

    Args:
        autoencoder, diffusion: Their folders.
        record: `config.json` of the diffusion model.
    """
    digest = sha256_of(autoencoder / "model.safetensors")
    if record["autoencoder_sha256"] != digest:
        raise BadInput(
            f"{diffusion} was not trained on latents of the autoencoder {autoencoder}; run the "
            "stages 'latents' and 'diffusion' again"
        )
    of_diffusion = sha256_of(diffusion / "model.safetensors")
    return {"autoencoder_sha256": digest, "diffusion_sha256": of_diffusion}


def _log_result(config: SampleConfig, record: dict[str, Any], samples: Path) -> None:
    sizes = [config.size[::-1]] if config.size else [one.size for one in sizes_of(record)]
    first, last = config.seed, config.seed + config.num_images - 1
    logger.info(
        "sample: %s of %s, %s, in %s",
        counted(config.num_images, "image"),
        ", ".join(f"{width}x{height}" for height, width in sizes),
        f"seeds {first} to {last}" if last > first else f"seed {first}",
        samples,
    )


def _reads_shards(config: SampleConfig, record: dict[str, Any]) -> bool:
    """Whether what is drawn depends on the held-out images or their maps. Captions and boxes,
    which are prompts and layouts, are in the key themselves.

    Args:
        config: Section `sample` of the params.
        record: `config.json` of the diffusion model.
    """
    task = build_task(task_of_model(record, None), record)
    return config.full_size_picture or task.needs_pictures or task.needs_maps


def _key(
    config: SampleConfig,
    facts: dict[str, Any],
    data: str | None,
    prompts: tuple[Prompt, ...],
    layouts: tuple[ShownLayout, ...],
) -> str:
    """Digest of everything that the folder depends on. Nothing drawn for another key is kept.

    Args:
        config: Section `sample` of the params.
        facts: Of all images, with the digests of the models.
        data: Digest of the shards; None if nothing of them is read.
        prompts: In turn.
        layouts: In turn.
    """
    depends: list[Any] = [dataclasses.asdict(config), facts, data, versions()["sample"]]
    if prompts:
        depends.append([dataclasses.asdict(prompt) for prompt in prompts])
    if layouts:
        depends.append([dataclasses.asdict(layout) for layout in layouts])
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()


def _draw_missing(task: SampleTask, num_workers: int | None) -> None:
    """Draw the parts that no earlier run has finished."""
    parts, finished = parts_of(task.config), task.folder.done()
    size, total = task.config.batch_size, task.config.num_images

    def count(part: str) -> int:
        return min(size, total - int(part)) if part.isdecimal() else 0

    done = sum(map(count, finished))
    if done:
        logger.info(
            "sample: continuing where an earlier run stopped: %s there",
            counted(done, "image is", "images are"),
        )
    progress = Progress("sample", total, done=done)
    run_parts(
        draw_parts,
        task,
        parts,
        folder=task.folder,
        on_done=lambda part: progress.advance(count(part)),
        num_workers=num_workers,
    )


def _publish(task: SampleTask) -> None:
    """Write the list of all images, and the sheet of the first."""
    folder, record = task.folder, dict(task.facts)
    rows: list[Row] = []
    for part in parts_of(task.config):
        found = folder.record_of(part)
        if part == FULL_SIZE:
            logger.info(
                "sample: encoded and decoded %dx%d in %.1f s, PSNR %.1f dB",
                *(found[name] for name in ("width_px", "height_px")),
                found.pop("seconds"),
                found["psnr"],
            )
            record["full_size"] = found
        elif part != PREVIEWS:
            rows += found
    write_sheet(folder.files, rows, len(task.prompts))
    write_json(folder.files / "samples.json", record | {"samples": rows})
