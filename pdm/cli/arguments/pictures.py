"""Arguments of the commands that draw in a user's images."""

import argparse
from pathlib import Path

from pdm.cli.arguments.options import (
    Commands,
    add_command,
    add_models_option,
    add_params_option,
    count,
    fraction,
    guidance_scale,
    limited_count,
    positive_count,
    positive_share,
    seed,
)
from pdm.cli.pictures import commands as pictures
from pdm.config.sampling.any_size import COLOURS
from pdm.config.sampling.tiling import MODES


def add_pictures(commands: Commands) -> None:
    """Add `pyramid draw`, `pyramid inpaint`, `pyramid upscale` and `pyramid paint`."""
    _add_draw(commands)
    inpaint = add_command(commands, "inpaint", pictures.inpaint)
    inpaint.add_argument("picture", type=Path, metavar="IMAGE", help="JPEG, PNG, WebP or AVIF")
    inpaint.add_argument(
        "--mask",
        type=Path,
        required=True,
        metavar="MASK",
        help="an image of the same size: white parts are drawn, black parts stay",
    )
    inpaint.add_argument(
        "--soft-edge",
        type=count,
        default=0,
        metavar="PX",
        help="also blend this many pixels around the mask; default: 0, so that they do not change",
    )
    _add_drawing_options(inpaint)
    upscale = add_command(commands, "upscale", pictures.upscale)
    upscale.add_argument("picture", type=Path, metavar="IMAGE", help="JPEG, PNG, WebP or AVIF")
    how = upscale.add_mutually_exclusive_group()
    how.add_argument(
        "--factor", type=positive_count, metavar="N", help="default: that of the model, or 4"
    )
    upscale.add_argument(
        "--guide-strength",
        type=positive_share,
        metavar="S",
        help="guide an unconditional model to the image: above 0, at most 1",
    )
    _add_size_options(
        upscale,
        how,
        "to any size, by any model; edges are cut off where the shapes differ",
    )
    _add_drawing_options(upscale)
    paint = add_command(commands, "paint", pictures.paint)
    paint.add_argument(
        "picture", type=Path, metavar="MAP", help="PNG of class indices; 255: anything"
    )
    _add_drawing_options(paint)


def _add_draw(commands: Commands) -> None:
    draw = add_command(commands, "draw", pictures.draw)
    draw.add_argument(
        "prompt",
        nargs="?",
        metavar="PROMPT",
        help="such as 'a red sunset over a lake'; may end with options: --d seed, --s steps, "
        "--l guidance scale, --n negative prompt, --w width, --h height",
    )
    draw.add_argument(
        "--prompts", type=Path, metavar="FILE", help="a file of prompts instead, one per line"
    )
    draw.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="JSON file of boxes with classes, for a model of layouts (docs/tasks.md)",
    )
    draw.add_argument("--negative", metavar="TEXT", help="what guidance steers away from")
    draw.add_argument(
        "--guidance", type=guidance_scale, metavar="SCALE", help="default: sample.guidance_scale"
    )
    _add_size_options(draw, draw, "any size; default: that of the model")
    draw.add_argument(
        "--enlarger",
        type=Path,
        metavar="DIR",
        help="with --size: folder of other models, which enlarge the composition: trained for "
        "super_resolution, or another pyramid; default: the same models",
    )
    draw.add_argument(
        "--format", choices=("png", "tif"), default="png", help="default: %(default)s"
    )
    _add_model_options(draw, "images for each prompt or layout, with consecutive seeds; default: 1")
    draw.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="default: this folder"
    )


def _add_size_options(
    command: argparse.ArgumentParser, holder: argparse._ActionsContainer, size: str
) -> None:
    """Add the options of commands that draw at any size."""
    holder.add_argument("--size", metavar="WxH", help=f"such as 6000x2500: {size}")
    command.add_argument(
        "--mode",
        choices=MODES,
        help="with --size: how tiles are sampled; default: fstd (docs/any-size.md)",
    )
    command.add_argument(
        "--colour",
        "--color",
        choices=COLOURS,
        help="with --size: how colours are kept as the image is enlarged; default: wavelet",
    )
    command.add_argument(
        "--strength",
        type=fraction,
        metavar="S",
        help="with --size: share of the detail that is drawn anew, 0 to 1; default: 0.5, or 1 for "
        "a model of super_resolution",
    )


def _add_drawing_options(command: argparse.ArgumentParser) -> None:
    """Add the options of all commands that draw in an image."""
    _add_model_options(command, "images, with consecutive seeds; default: 1")
    command.add_argument(
        "--output", type=Path, metavar="PNG", help="default: a file beside the image"
    )


def _add_model_options(command: argparse.ArgumentParser, num: str) -> None:
    """Add the options of all commands that draw."""
    add_models_option(command)
    command.add_argument("--seed", type=seed, default=0, metavar="N", help="default: %(default)s")
    command.add_argument("--num", type=limited_count, default=1, metavar="N", help=num)
    command.add_argument(
        "--steps", type=limited_count, metavar="N", help="default: sample.steps of the params"
    )
    add_params_option(command)
