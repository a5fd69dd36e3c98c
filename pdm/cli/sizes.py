"""Settings and models of the command `sample`: the project's params or a preset, trained models or
random weights. Heavy imports are inside the functions.
"""

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from pdm import params, presets
from pdm.config import Params
from pdm.config.stages.sample import SampleConfig
from pdm.errors import BadInput
from pdm.model_record import record_of

MODELS = ("autoencoder", "diffusion")
DEFAULT_SAMPLES = Path("samples")  # an output of the pipeline, which a preset must not replace


@contextlib.contextmanager
def settings_and_folders(
    args: argparse.Namespace,
) -> Iterator[tuple[SampleConfig, dict[str, Path]]]:
    """Yield the settings, and the folders as arguments of `sample_images`. Models with random
    weights are removed at the end of the block.

    Raises:
        BadInput: Params or preset do not exist or do not fit, or the models are missing or not of
            the preset's size.
    """
    if not (args.preset or args.untrained):
        _refuse_trial_options(args)
        folders = {name: getattr(args, name) for name in (*MODELS, "shards", "samples")}
        yield params.load(args.params).sample, folders
        return
    if args.preset:
        whole = presets.load(args.preset, args.settings or ())
    else:
        whole = params.load(args.params)
    config = dataclasses.replace(
        whole.sample,
        num_images=args.num_images or 1,
        steps=args.steps or whole.sample.steps,
        full_size_picture=False,
    )
    samples = args.samples
    if samples == DEFAULT_SAMPLES:
        samples = Path(f"{DEFAULT_SAMPLES}-{args.preset or 'untrained'}")
    rest = {"shards": args.shards, "samples": samples}
    if args.untrained:
        with _untrained(whole) as folders:
            yield config, folders | rest
    else:
        folders = {name: getattr(args, name) for name in MODELS}
        _check_size(folders, whole, args.preset)
        yield config, folders | rest


def _refuse_trial_options(args: argparse.Namespace) -> None:
    for flag in ("num_images", "steps"):
        if getattr(args, flag) is not None:
            name = flag.replace("_", "-")
            raise BadInput(
                f"--{name} requires --preset; without it, set sample.{flag} in the params"
            )


@contextlib.contextmanager
def _untrained(config: Params) -> Iterator[dict[str, Path]]:
    from pdm.inference.untrained import write_untrained
    from pdm.scratch_folders import scratch_folder

    with scratch_folder("untrained") as scratch:
        folders = {name: scratch / name for name in MODELS}
        write_untrained(config, **folders)
        yield folders


def _check_size(folders: dict[str, Path], config: Params, preset: str) -> None:
    """Refuse models that are missing, or not of the preset's size."""
    for name, folder in folders.items():
        if not (folder / "config.json").is_file():
            raise BadInput(
                f"{folder} has no model; name trained models with --autoencoder and --diffusion, "
                "or add --untrained to sample noise with random weights"
            )
        record = record_of(folder)
        found, wanted = (
            f"{width}x{height}"
            for width, height in (
                (record.get("image_width_px"), record.get("image_height_px")),
                (config.autoencoder.image_width_px, config.autoencoder.image_height_px),
            )
        )
        if found != wanted:
            raise BadInput(
                f"--{name} {folder} is a model for {found}, the preset {preset} is for {wanted}; "
                "name models of this size, leave out --preset to use the size of these, "
                "or add --untrained to sample noise with random weights"
            )
