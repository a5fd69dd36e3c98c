"""Arguments of the tools for models and for trials of a training."""

import argparse
from pathlib import Path

from pdm.cli import models
from pdm.cli.arguments.options import (
    Commands,
    add_command,
    add_group,
    add_models_option,
    add_params_option,
    add_path_options,
    ema_length,
    fraction,
    positive_count,
    positive_number,
)


def add_rehearse(commands: Commands) -> None:
    """Add `pyramid rehearse`."""
    command = add_command(commands, "rehearse", models.rehearse)
    which = command.add_mutually_exclusive_group()
    which.add_argument("--preset", metavar="NAME", help="such as 2048x2048, instead of FILE")
    add_params_option(which)
    command.add_argument(
        "--pictures",
        type=Path,
        metavar="FOLDER",
        help="folder of a dozen images; default: built-in ones",
    )
    command.add_argument(
        "--keep", type=Path, metavar="DIR", help="work there; default: a folder that is removed"
    )
    command.add_argument(
        "--max-memory",
        type=positive_number,
        metavar="GIB",
        help="stop a stage that takes more memory of the host; default: no limit",
    )
    command.add_argument("--json", action="store_true", help="print all as JSON in the last line")


def add_untrained(commands: Commands) -> None:
    """Add `pyramid untrained`."""
    command = add_command(commands, "untrained", models.untrained)
    add_params_option(command)
    for name in ("autoencoder", "diffusion"):
        command.add_argument(
            f"--{name}", type=Path, required=True, metavar="PATH", help="folder to write"
        )


def add_export(commands: Commands) -> None:
    """Add `pyramid export`: autoencoder, diffusion and diffusers."""
    text = "Write a model from any checkpoint that is kept, or both models for diffusers."
    sub = add_group(commands, "export", text, title="what to write", metavar="WHAT")
    for stage, function, data in (
        ("autoencoder", models.export_autoencoder, "shards"),
        ("diffusion", models.export_diffusion, "latents"),
    ):
        command = add_command(sub, stage, function)
        which = command.add_mutually_exclusive_group(required=True)
        which.add_argument("--best", action="store_true", help="the checkpoint with the best score")
        which.add_argument(
            "--images",
            type=positive_count,
            metavar="N",
            help="the checkpoint that has seen N images",
        )
        command.add_argument(
            "--run",
            type=Path,
            metavar="DIR",
            help="folder of the run; default: that of the present params and data, in --runs",
        )
        command.add_argument(
            "--model", type=Path, required=True, metavar="OUT", help="folder to write"
        )
        add_params_option(command)
        add_path_options(command, {data: f"data/{data}", "runs": f"runs/{stage}"})
    _add_export_diffusers(sub)


def _add_export_diffusers(sub: Commands) -> None:
    command = add_command(sub, "diffusers", models.export_diffusers)
    _add_output(command, "pipeline folder to write")
    command.add_argument(
        "--kind",
        choices=("auto", "stock", "custom"),
        default="auto",
        help="stock: diffusers' own classes, or an error that says why not; custom: the pipeline "
        "of this package; auto, the default: stock where it draws the same images",
    )
    add_models_option(command)
    add_params_option(command)


def add_import(commands: Commands) -> None:
    """Add `pyramid import`: first-stage, stablesr."""
    text = "Make model folders from weights that others have published."
    sub = add_group(commands, "import", text, title="whose weights", metavar="WHAT")
    _add_import_first_stage(sub)
    _add_import_stablesr(sub)


def _add_import_first_stage(sub: Commands) -> None:
    command = add_command(sub, "first-stage", models.import_first_stage)
    command.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="of diffusers' AutoencoderKL or VQModel, such as `vae` of a pipeline",
    )
    _add_output(command, "folder to write")


def _add_import_stablesr(sub: Commands) -> None:
    command = add_command(sub, "stablesr", models.import_stablesr)
    command.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=".ckpt or .safetensors, which together have all weights: stablesr_000117.ckpt, or "
        "Stable Diffusion 2.1-base and what StableSR adds to it",
    )
    command.add_argument(
        "--cfw",
        type=Path,
        metavar="FILE",
        help="vqgan_cfw_00011.ckpt: decode beside the enlarged image; default: decode without",
    )
    command.add_argument(
        "--fusion",
        type=fraction,
        default=0.5,
        metavar="W",
        help="with --cfw: weight of the enlarged image, 0 to 1; default: %(default)s",
    )
    command.add_argument(
        "--predicts",
        choices=("noise", "v"),
        default="noise",
        help="v for stablesr_768v; default: %(default)s",
    )
    command.add_argument(
        "--tile",
        type=positive_count,
        default=512,
        metavar="PX",
        help="side of the tiles, 768 for stablesr_768v; default: %(default)s",
    )
    command.add_argument(
        "--steps",
        type=positive_count,
        default=200,
        metavar="N",
        help="steps of its sampling; default: %(default)s",
    )
    _add_output(command, "folder to write")


def _add_output(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--output", type=Path, required=True, metavar="DIR", help=text)


def add_ema(commands: Commands) -> None:
    """Add `pyramid ema`."""
    command = add_command(commands, "ema", models.ema)
    command.add_argument(
        "lengths",
        nargs="*",
        type=ema_length,
        default=[0.03, 0.05, 0.08, 0.1, 0.15, 0.2],
        metavar="LENGTH",
        help="default: 0.03 0.05 0.08 0.1 0.15 0.2; the EMA in the model file always comes first",
    )
    command.add_argument(
        "--num-images",
        type=positive_count,
        default=128,
        metavar="N",
        help="samples of each; default: %(default)s",
    )
    add_params_option(command)
    add_path_options(
        command,
        {
            "latents": "data/latents",
            "autoencoder": "models/autoencoder",
            "diffusion": "models/diffusion",
        },
    )


def add_networks(commands: Commands) -> None:
    """Add `pyramid networks`: list and make."""
    text = "Make files of trained networks for evaluate.features and autoencoder.perceptual."
    sub = add_group(commands, "networks", text)
    add_command(sub, "list", models.list_networks)
    make = add_command(sub, "make", models.make_network)
    make.add_argument("name", metavar="NAME", help="such as efficientnet-lite0")
    make.add_argument(
        "--for",
        dest="purpose",
        choices=("features", "perceptual"),
        default="features",
        help="features: for evaluate.features (the default); perceptual: for "
        "autoencoder.perceptual",
    )
    make.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="default: NAME-features.pt or NAME-perceptual.pt",
    )
