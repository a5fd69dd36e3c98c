"""Opens models of another folder that enlarge what the sampled model composes: a model trained for
super-resolution, or another pyramid."""

import dataclasses
from pathlib import Path

from pdm.config.sampling.own_settings import FACT as OWN
from pdm.config.stages.sample import SampleConfig
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.any_size.rectangles import Rectangle
from pdm.inference.any_size.tiled.tile_boxes import TileBoxes
from pdm.inference.any_size.tiled.tile_velocity import check_config, check_task
from pdm.inference.conditioning import Classes, GuidedCondition
from pdm.inference.layouts import Layouts
from pdm.inference.own_settings import own_facts, with_own_settings
from pdm.inference.pictures.draw import Drawing
from pdm.inference.pictures.loaded_models import LoadedModels, load_models
from pdm.inference.prompts import Prompts
from pdm.inference.sampling_networks import few_steps_facts
from pdm.model_record import record_of
from pdm.tasks.find import task_of_model
from pdm.tasks.text import EMPTY

PUBLISHED = (".ckpt", ".safetensors", ".pth", ".pt")
FILES = ("autoencoder/model.safetensors", "diffusion/config.json", "diffusion/model.safetensors")


def hint_to_import(folder: Path) -> str:
    """Return what to add to an error about a folder without models, if it looks like published
    weights that can be imported."""
    files = [folder] if folder.is_file() else folder.glob("*") if folder.is_dir() else ()
    found = any(file.suffix in PUBLISHED for file in files)
    return ", or make one of StableSR's weights by `pyramid import stablesr`" if found else ""


def check_enlarger(folder: Path, config: SampleConfig, name: str) -> None:
    """Check models that are to enlarge, by their records.

    Args:
        folder: With `autoencoder/` and `diffusion/`.
        config: Section `sample` of the params.
        name: Of the option or setting that names the folder, for errors.

    Raises:
        BadInput: A model is missing or untrained, cannot enlarge, or was not trained on latents of
            the autoencoder beside it; or the sampler cannot be used in tiles.
    """
    missing = [file for file in FILES if not (folder / file).is_file()]
    if missing:
        raise BadInput(
            f"{name}: {folder} lacks {', '.join(missing)}; name a folder with autoencoder/ and "
            f"diffusion/ in it{hint_to_import(folder)}"
        )
    record = record_of(folder / "diffusion")
    if record.get("images_seen") == 0:
        raise BadInput(f"{name}: {folder}/diffusion has random weights; train it first")
    if record.get("autoencoder_sha256") != sha256_of(folder / FILES[0]):
        raise BadInput(
            f"{name}: {folder}/diffusion was not trained on latents of the autoencoder beside it; "
            "put the one that it was trained with there"
        )
    try:
        check_task(task_of_model(record, None))
        check_config(with_own_settings(config, record))
    except BadInput as error:
        raise BadInput(f"{name}: {folder}: {error}") from error


def open_enlarger(folder: Path, config: SampleConfig) -> LoadedModels:
    """Load models that `check_enlarger` has passed. They take the sampler and the steps of the
    section `sample` unless they have their own, but not its guidance, EMA length, classes and
    prompts, which belong to the model that composes."""
    own = dataclasses.replace(
        config,
        guidance_scale=1.0,
        guide=None,
        ema_length=None,
        classes=None,
        prompts=None,
        negative_prompt=None,
    )
    return load_models(folder, with_own_settings(own, record_of(folder / "diffusion")))


def digests_of(folder: Path, config: SampleConfig) -> dict[str, str]:
    """Return the digests of models that enlarge, for the provenance of images, beside that of the
    diffusion model."""
    record, digest = record_of(folder / "diffusion"), sha256_of(folder / FILES[0])
    few_steps = few_steps_facts(folder / "diffusion", config)
    own = own_facts(with_own_settings(config, record), record)
    return _as_enlarger({"autoencoder_sha256": digest, **few_steps, **own})


def digests_of_loaded(enlarger: LoadedModels) -> dict[str, str]:
    """Return the same of models that are loaded."""
    names = ("autoencoder_sha256", "few_steps_sha256", OWN)
    return _as_enlarger({name: enlarger.facts[name] for name in names if name in enlarger.facts})


def _as_enlarger(digests: dict[str, str]) -> dict[str, str]:
    return {f"enlarger_{name}": digest for name, digest in digests.items()}


def condition_for(enlarger: LoadedModels, drawing: Drawing) -> GuidedCondition | None:
    """Return the condition of a drawing for a model that enlarges it: the same prompt or class.
    Boxes are those of `boxes_for`.

    Returns:
        With one row; None for a model that takes none.

    Raises:
        BadInput: The model draws classes, and the drawing shows none of them.
    """
    conditioning = enlarger.networks.conditioning
    if isinstance(conditioning, Prompts):
        text = str(drawing.origin.get("prompt", EMPTY))
        return GuidedCondition(conditioning.task.condition_of_texts([text]))
    if not isinstance(conditioning, Classes):
        return None
    shown = drawing.origin.get("class")
    if shown not in conditioning.names:
        raise BadInput(
            f"the enlarger has the classes {', '.join(conditioning.names)}, but the image has "
            f"{'no class' if shown is None else f'the class {shown!r}'}; use an enlarger without "
            "classes, or one with the same"
        )
    return dataclasses.replace(conditioning, chosen=(shown,)).condition([drawing.seed])


def boxes_for(models: LoadedModels, drawing: Drawing, shown: Rectangle) -> TileBoxes | None:
    """Return a drawing's boxes for the model that composes it, or for one that enlarges it.

    Args:
        models: The model.
        drawing: With its layout.
        shown: Where the image is in what is drawn.

    Returns:
        None if the drawing has none, or the model reads none.

    Raises:
        BadInput: The model does not know the class of a box.
    """
    conditioning, layout = models.networks.conditioning, drawing.layout
    if layout is None or not isinstance(conditioning, Layouts):
        return None
    unknown = {box.class_name for box in layout.boxes} - set(conditioning.task.names)
    if unknown:
        raise BadInput(
            f"the enlarger has boxes of the classes {', '.join(conditioning.task.names)}, but the "
            f"image has boxes of {', '.join(sorted(unknown))}; use an enlarger without boxes, or "
            "one with the same classes"
        )
    if models is not drawing.models:  # crops are those of the data of each
        layout = dataclasses.replace(layout, crop=conditioning.task.crop)
    return TileBoxes(layout, conditioning.task, shown)
