"""Models of the commands that draw in a user's images. Heavy imports are inside the functions."""

import argparse
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdm import params
from pdm.errors import BadInput
from pdm.model_record import record_of

if TYPE_CHECKING:
    from pdm.config.sampling.prompts import Prompt
    from pdm.config.stages.sample import SampleConfig
    from pdm.inference.pictures.loaded_models import LoadedModels


@contextlib.contextmanager
def open_models(
    args: argparse.Namespace,
    check: "Callable[[Path, SampleConfig], None]" = lambda diffusion, config: None,
    prompts: "Sequence[Prompt]" = (),
) -> "Iterator[LoadedModels]":
    """Yield the models that the arguments name, or the champion.

    Args:
        args: Of the command.
        check: Raises BadInput if the diffusion model in a folder does not fit; called before it is
            loaded.
        prompts: To draw; a guide is loaded if one needs it.
    """
    from pdm.inference.own_settings import check_steps, with_own_settings
    from pdm.inference.pictures.loaded_models import load_models
    from pdm.inference.prompts import with_guidance

    with find_models(args) as (folder, config):
        record = record_of(folder / "diffusion")
        config = with_own_settings(config, record)
        if args.steps:
            config = dataclasses.replace(config, steps=args.steps)
            check_steps(config, record)
        if not prompts:  # which have guidance of their own
            config = with_guidance(config, getattr(args, "guidance", None))
        check(folder / "diffusion", config)
        yield load_models(folder, config, prompts)


@contextlib.contextmanager
def find_models(args: argparse.Namespace) -> "Iterator[tuple[Path, SampleConfig]]":
    """Yield the folder of the models that the arguments name, or of the champion, and how to sample
    from them."""
    from pdm.inference.any_size.enlarger_models import FILES, hint_to_import
    from pdm.inference.champion import settings_of_samples
    from pdm.scratch_folders import scratch_folder
    from pdm.tracking.registry.champion import fetch_champion

    with scratch_folder("champion") as scratch:
        folder = fetch_champion(scratch) if args.champion else args.models
        missing = [file for file in FILES if not (folder / file).is_file()]
        if missing:
            raise BadInput(
                f"{folder} lacks a trained model ({', '.join(missing)}); run the pipeline, name "
                "another folder with --models, or use MLflow's champion with --champion"
                f"{hint_to_import(folder)}"
            )
        if args.champion:
            yield folder, settings_of_samples(folder / "samples.json")
        else:
            yield folder, _sample_settings(args.params, folder / "diffusion")


def _sample_settings(path: Path, diffusion: Path) -> "SampleConfig":
    """Read the section `sample`; without a params file, take that of the preset for the model's
    task, or the default one."""
    from pdm import presets
    from pdm.params.keys import DEFAULT
    from pdm.tasks.find import task_of_model

    if path != params.DEFAULT_PATH or path.exists():
        return params.load(path).sample
    kind = task_of_model(record_of(diffusion), None).kind
    preset = f"task-{kind.replace('_', '-')}"
    known = preset in presets.descriptions()
    return presets.load(preset).sample if known else params.load(DEFAULT).sample
