"""Params of a rehearsal: those of the real run, with few pictures, two steps and short scores.

What decides on memory and on the time of a step stays: sizes, networks, precision, tiles. Left out
is what a rehearsal cannot have: people or content in built-in landscapes, models to fine-tune with
their adapters (LoRA), and guides that other trainings made.
"""

import json
from pathlib import Path

from pdm import params, presets
from pdm.config import Params
from pdm.params.override import override

NUM_LANDSCAPES = 8
# So small that only the two pictures are held out that always are (pdm.curation.shard.split).
VAL_SHARE = 1.0e-6
MARGIN = 1.25  # the built-in pictures are larger than the crops, as real ones are
STEPS, ACCUMULATION = 2, 2


def real_text(preset: str | None, path: Path) -> str:
    """The text of the params to rehearse: a preset's, or those of a file.

    Raises:
        BadInput: They do not exist or do not fit.
    """
    text = presets.preset_text(preset, None) if preset else params.read(path)
    params.parse(text, path)
    return text


def rehearsal_text(text: str, pictures: Path | None) -> str:
    """Change the text of real params to those of a rehearsal.

    Args:
        text: Valid params.
        pictures: Folder of pictures; None for built-in landscapes.
    """
    real = params.parse(text, Path("params"))
    changed, _ = override(text, _assignments(real, pictures))
    return changed


def _assignments(real: Params, pictures: Path | None) -> list[str]:
    return [
        f"scrape.sources={json.dumps([_source(real, pictures)])}",
        "scrape.removed=null",
        "curate.min_kept=4",
        *(["curate.people=null", "curate.content=null"] if pictures is None else []),
        f"shard.val_share={VAL_SHARE}",
        "shard.num_train_shards=1",
        *_training("autoencoder"),
        *_training("diffusion"),
        "autoencoder.init_from=null",
        "diffusion.init_from=null",
        "diffusion.lora=null",
        *(["autoencoder.adversarial.start_images=0"] if real.autoencoder.adversarial else []),
        "diffusion.score_images=2",
        "latents.batch_size=1",
        "sample.num_images=2",
        "sample.steps=2",
        "sample.batch_size=1",
        *_guidance(real),
        "evaluate.batch_size=1",
        "evaluate.num_replicates=10",
        "evaluate.num_neighbours=2",
        *_absolute_paths(real, pictures),
    ]


def _source(real: Params, pictures: Path | None) -> dict[str, object]:
    if pictures is not None:
        return {"kind": "folder", "path": str(pictures.absolute())}
    return {
        "kind": "builtin",
        "maps": real.diffusion.effective_task.kind == "semantic",
        "boxes": real.diffusion.effective_task.kind == "layout",
        "num_landscapes": NUM_LANDSCAPES,
        "num_flawed_per_kind": 0,
        "width_px": int(MARGIN * real.curate.width_px),
        "height_px": int(MARGIN * real.curate.height_px),
        "seed": 0,
    }


def _training(stage: str) -> list[str]:
    """One picture at once, in one process."""
    step = ACCUMULATION
    values = {
        "num_workers": 1,
        "strategy": "ddp",
        "accumulation": ACCUMULATION,
        "batch_size": step,
        "total_images": STEPS * step,
        "warmup_images": 1,
        "log_every_images": step,
        "save_every_images": STEPS * step,
        "keep_every_images": "null",
    }
    return [f"{stage}.training.{name}={value}" for name, value in values.items()]


def _guidance(real: Params) -> list[str]:
    """Keep classifier-free guidance alone: a rehearsal has neither old checkpoints nor a second
    model of its own latents."""
    guide = real.sample.guide
    if guide is None or guide.kind == "unconditional":
        return []
    return ["sample.guidance_scale=1.0", "sample.guide=null"]


def _absolute_paths(real: Params, pictures: Path | None) -> list[str]:
    """Paths of networks and of example images: a rehearsal runs in another folder."""
    found = [
        (f"evaluate.features.{place}.path", each.path)
        for place, each in enumerate(real.evaluate.features)
    ]
    if real.autoencoder.perceptual:
        found.append(("autoencoder.perceptual.path", real.autoencoder.perceptual.path))
    content = real.curate.content
    if content and pictures is not None:
        found += [("curate.content.like", content.like), ("curate.content.unlike", content.unlike)]
        if content.model:
            found.append(("curate.content.model.path", content.model.path))
    return [f"{key}={json.dumps(str(Path(path).absolute()))}" for key, path in found if path]
