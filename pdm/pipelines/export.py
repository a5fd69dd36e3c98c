"""Writes both models as one pipeline folder that diffusers loads."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from pdm import ema
from pdm.baselines import unet_with_heads
from pdm.baselines.stock_pipeline import has_own_unet, stock_pipeline, why_not_stock
from pdm.baselines.unet_with_heads import UNetWithEightHeads
from pdm.config.networks.text import FrozenEncoderConfig
from pdm.config.stages.sample import SampleConfig
from pdm.config.task import TextTask
from pdm.data.shards import listing
from pdm.errors import BadInput, why
from pdm.files import atomic_folder, sha256_of, write_json, write_text
from pdm.inference.conditioning import NO_CONDITIONING
from pdm.inference.image_sizes import sizes_of
from pdm.inference.sampling_networks import load_networks
from pdm.model_record import record_of
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.denoiser import Denoiser
from pdm.models.levels.pyramid import LevelShape
from pdm.models.noise_schedule import NUM_STEPS
from pdm.pipelines.components import GUIDE, SAMPLING, TEXT_ENCODER
from pdm.registry import load_autoencoder
from pdm.tasks.find import task_of_model
from pdm.text.frozen import SETTINGS, WEIGHTS, digest_of

Kind = Literal["auto", "stock", "custom"]
INDEX = "model_index.json"
UNET_FILE = f"unet/{Path(unet_with_heads.__file__).name}"
# diffusers reads this code only with trust_remote_code; the package itself has all that it does.
PIPELINE_FILE = '''"""Needs the package pyramid-diffusion, whose pipeline draws from this folder."""

from pdm.pipelines.pipeline import PyramidPipeline  # noqa: F401
'''
COMPONENT_FILE = '''"""Needs the package pyramid-diffusion, whose classes load this folder."""

from pdm.pipelines.components import {name}  # noqa: F401
'''


def export_diffusers(
    config: SampleConfig, *, models: Path, output: Path, kind: Kind = "auto"
) -> str:
    """Write a pipeline folder for diffusers.

    LDM becomes diffusers' own `LDMPipeline` where that draws the same images. Everything else
    becomes a `PyramidPipeline`, for which this package must be installed.

    Args:
        config: Section `sample` of the params: which EMA, and how a `PyramidPipeline` samples.
        models: Folder with the folders `autoencoder` and `diffusion`.
        output: Folder to write, atomically. An existing pipeline folder is replaced.
        kind: stock: diffusers' own classes or none; custom: always a `PyramidPipeline`.

    Returns:
        What was written, and how to load it.

    Raises:
        BadInput: A model is missing, they do not belong together, they enlarge in tiles only,
            diffusers' own classes do not fit though `kind` asks for them, or the folder exists and
            is something else.
    """
    record = record_of(models / "diffusion")
    _check_pair(models, record)
    _check_output(output, models)
    autoencoder = load_autoencoder(models / "autoencoder")
    shapes = tuple((c, h, w) for c, h, w in record["level_shapes"])
    network = _load_network(models / "diffusion", config)
    if network.begins_at_image:
        raise BadInput(
            f"{models} enlarges in tiles, which a pipeline of diffusers does not; use `pyramid "
            "upscale --size`"
        )
    reason = why_not_stock(autoencoder, network, shapes) or _several_sizes(record)
    if kind == "stock" and reason:
        raise BadInput(
            f"{models / 'diffusion'} cannot be exported to diffusers' own classes: {reason}; leave "
            "out --kind stock to export a custom pipeline"
        )
    if reason or kind == "custom":
        return _write_custom(config, models, output, reason)
    return _write_stock(autoencoder, network, shapes, models, output)


def _check_pair(models: Path, record: Mapping[str, Any]) -> None:
    """Refuse a diffusion model, by its `config.json`, that belongs to another autoencoder."""
    if record.get("autoencoder_sha256") != _digest_of(models / "autoencoder"):
        raise BadInput(
            f"{models / 'diffusion'} was not trained on latents of {models / 'autoencoder'}; name "
            "a folder with both models of one run"
        )


def _write_stock(
    autoencoder: Autoencoder,
    network: Denoiser,
    shapes: tuple[LevelShape, ...],
    models: Path,
    output: Path,
) -> str:
    """Write diffusers' own pipeline, and say how to load it."""
    own_unet = has_own_unet(network)
    with atomic_folder(output) as temporary:
        stock_pipeline(autoencoder, network, shapes).save_pretrained(temporary)
        write_text(temporary / "README.md", _stock_readme("trust_remote_code=True" * own_unet))
        _copy_pictures(models, temporary)
        if own_unet:
            _add_own_unet(temporary)
    option = f", trust_remote_code=True, for {UNET_FILE}" if own_unet else ""
    return (
        f"{output}: diffusers' own LDMPipeline; load it with DiffusionPipeline.from_pretrained"
        f"{option}. It draws what `pyramid sample` does with sampler: ddim, no guidance and "
        "clamp_latents: 0"
    )


def _add_own_unet(folder: Path) -> None:
    """Add the file of a UNet that diffusers does not have, and name it in the index."""
    shutil.copyfile(Path(unet_with_heads.__file__), folder / UNET_FILE)
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    index["unet"] = [unet_with_heads.__name__.rpartition(".")[2], UNetWithEightHeads.__name__]
    write_json(folder / INDEX, index)


def _several_sizes(record: dict[str, Any]) -> str | None:
    if len(sizes_of(record)) == 1:
        return None
    return "it was trained at several sizes, and diffusers' LDMPipeline draws one"


def _digest_of(folder: Path) -> str:
    try:
        return sha256_of(folder / "model.safetensors")
    except OSError as error:
        raise BadInput(
            f"{folder} is not a model folder that can be read ({why(error)}); name another with "
            "--models"
        ) from error


def _load_network(folder: Path, config: SampleConfig) -> Denoiser:
    """Load the flow, with the EMA that the config names, whatever its task."""
    # As many steps as no network for few steps has, so that it is the flow.
    flow = dataclasses.replace(config, steps=NUM_STEPS, guidance_scale=1.0, sampler="ddim")
    return load_networks(folder, flow, torch.device("cpu"), NO_CONDITIONING).network


def _check_output(output: Path, models: Path) -> None:
    inside = output.resolve().is_relative_to(models.resolve())
    if inside or models.resolve().is_relative_to(output.resolve()):
        raise BadInput(f"--output {output} and the models in {models} lie within each other")
    if output.exists() and not (output / INDEX).is_file():
        raise BadInput(
            f"{output} exists and is not replaced, because it is not a pipeline folder of "
            "diffusers; remove it, or choose another folder"
        )


def _write_custom(config: SampleConfig, models: Path, output: Path, reason: str | None) -> str:
    with atomic_folder(output) as temporary:
        left_out = None if _needs_ema(config) else shutil.ignore_patterns(ema.FOLDER)
        index: dict[str, object] = {
            "_class_name": ["pipeline", "PyramidPipeline"],
            "_diffusers_version": _diffusers_version(),
        }
        for name, kind in (("autoencoder", "AutoencoderModel"), ("diffusion", "DiffusionModel")):
            shutil.copytree(models / name, temporary / name, ignore=left_out)
            write_text(temporary / name / "pdm_model.py", COMPONENT_FILE.format(name=kind))
            index[name] = ["pdm_model", kind]
        if config.guidance_scale != 1 and config.guide and config.guide.path:
            shutil.copytree(config.guide.path, temporary / GUIDE)
        _copy_text_encoder(models, temporary)
        write_json(temporary / INDEX, index)
        write_json(temporary / SAMPLING, dataclasses.asdict(config))
        write_text(temporary / "pipeline.py", PIPELINE_FILE)
        write_text(temporary / "README.md", _custom_readme())
        _copy_pictures(models, temporary)
    return (
        f"{output}: a custom pipeline{f', since {reason}' if reason else ''}; load it with "
        "DiffusionPipeline.from_pretrained(..., trust_remote_code=True) where pyramid-diffusion is "
        "installed"
    )


def _needs_ema(config: SampleConfig) -> bool:
    guide = config.guide if config.guidance_scale != 1 else None
    return config.ema_length is not None or (guide is not None and guide.kind == "ema")


def _copy_text_encoder(models: Path, folder: Path) -> None:
    """Copy the frozen encoder of a model of text, if it has one.

    Raises:
        BadInput: It is missing, or has another sha256 than in the training.
    """
    task = task_of_model(record_of(models / "diffusion"), None)
    if not (isinstance(task, TextTask) and isinstance(task.encoder, FrozenEncoderConfig)):
        return
    digest_of(task.encoder, Path())  # checks the sha256
    (folder / TEXT_ENCODER).mkdir()
    for name in (WEIGHTS, *SETTINGS):
        if (file := Path(task.encoder.folder) / name).is_file():
            shutil.copyfile(file, folder / TEXT_ENCODER / name)


def _copy_pictures(models: Path, folder: Path) -> None:
    """Copy the list of images that both models have seen, for `pyramid data removed`."""
    listed = models / "diffusion" / listing.FILE_NAME
    if listed.is_file():
        shutil.copyfile(listed, folder / listing.FILE_NAME)


def _diffusers_version() -> str:
    import diffusers

    return diffusers.__version__


def _stock_readme(options: str) -> str:
    return f"""# Latent diffusion model

    from diffusers import DiffusionPipeline
    import torch

    pipeline = DiffusionPipeline.from_pretrained("FOLDER"{f", {options}" if options else ""})
    seeds = [torch.Generator().manual_seed(seed) for seed in range(4)]
    images = pipeline(batch_size=4, generator=seeds, num_inference_steps=50).images

A generator's seed draws the image that Pyramid Diffusion draws of it by `sampler: ddim`, `eta: 0`
and as many steps, without guidance. Take a number of steps that divides 1,000, such as 20, 50 or
250: with others, diffusers' DDIMScheduler loses the distance between its steps.
"""


def _custom_readme() -> str:
    return """# Pyramid Diffusion

Where the package pyramid-diffusion is installed (`pip install .` in the folder of the project):

    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained("FOLDER", trust_remote_code=True)
    images = pipeline(seed=0, num_images=4).images

`pipeline.py` imports the pipeline from the package. What it takes depends on the task of the model:
text takes a prompt; layouts take `boxes`; super-resolution takes `image`; inpainting takes `image`
and `mask_image`; maps take `image`, the map of class indices. `height` and `width` ask for another
size than that of the training. `sampling.json` has the settings of sampling; `num_inference_steps`
and `guidance_scale` replace two of them.
"""
