"""Draws and enlarges images to the size that a user names.

Heavy imports are inside the functions.
"""

import argparse
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdm.cli.pictures.models import open_models
from pdm.config.sampling.any_size import parse_size
from pdm.errors import BadInput
from pdm.versions import versions

if TYPE_CHECKING:
    from pdm.config.sampling.prompts import Prompt
    from pdm.config.stages.sample import SampleConfig
    from pdm.inference.any_size.large import LargeImage
    from pdm.inference.pictures.draw import Drawing

logger = logging.getLogger(__name__)


def wanted_size(args: argparse.Namespace, prompts: "Sequence[Prompt]" = ()) -> "LargeImage | None":
    """Return the size that `--size` names; None for that of the model.

    Raises:
        BadInput: It is not a size, or out of range; a prompt names another; or an option needs it.
    """
    if args.size is None:
        for option in ("enlarger", "mode", "colour", "strength"):
            if getattr(args, option, None) is not None:
                raise BadInput(f"--{option} requires --size")
        if getattr(args, "format", "png") != "png":
            raise BadInput(f"--format {args.format} requires --size")
        return None
    try:
        size = parse_size(args.size)
    except ValueError as error:
        raise BadInput(f"--size: {error}") from error
    for prompt in prompts:
        if prompt.width_px or prompt.height_px:
            raise BadInput(
                f"{prompt.text!r} has --w or --h beside --size; leave out one of the two"
            )
    from pdm.config.sampling.tiling import TilingConfig
    from pdm.inference.any_size.large import LargeImage

    tiling = TilingConfig(mode=args.mode or "fstd")
    return LargeImage(
        size=size, tiling=tiling, colour=args.colour or "wavelet", strength=args.strength
    )


def check_enlarger_of(args: argparse.Namespace, config: "SampleConfig") -> None:
    """Raise BadInput if the models that `--enlarger` names cannot enlarge."""
    if args.enlarger is not None:
        from pdm.inference.any_size.enlarger_models import check_enlarger

        check_enlarger(args.enlarger, config, "--enlarger")


def with_enlarger(
    args: argparse.Namespace, large: "LargeImage | None", config: "SampleConfig"
) -> "LargeImage | None":
    """Return the size with the models that `--enlarger` names, loaded."""
    if large is None or args.enlarger is None:
        return large
    from pdm.inference.any_size.enlarger_models import open_enlarger

    return dataclasses.replace(large, enlarger=open_enlarger(args.enlarger, config))


def write_drawing(
    args: argparse.Namespace,
    drawing: "Drawing",
    large: "LargeImage | None",
    written: Sequence[Path],
) -> Path:
    """Write an image of `pyramid draw`, unless an earlier call has. Return its file."""
    from pdm.inference.any_size import large as any_size
    from pdm.inference.pictures.file_names import choose_path, words_of
    from pdm.inference.pictures.read import write_image

    facts = {"command": "draw"} | drawing.facts | (large.facts if large else {})
    facts |= _enlarger_facts(args, large)
    size = f"-{large.text}" if large else ""
    name = f"{words_of(drawing.origin)}{size}-{drawing.seed}.{args.format}"
    path = choose_path(args.output, name, facts, written)
    if _is_drawn(path, facts):
        return path
    if large is None:
        write_image(path, drawing.draw(), facts)
    else:
        any_size.write_drawing(large, drawing, path, facts)
    return path


def upscale_to_size(args: argparse.Namespace, large: "LargeImage") -> None:
    """Enlarge an image to the size that `--size` names, once for each seed."""
    from pdm.data.large_pictures.write import check_ending
    from pdm.files import sha256_of
    from pdm.inference.any_size.large import condition_of_enlargement, write_enlargement
    from pdm.inference.pictures.read import output_paths, read_image

    seeds = range(args.seed, args.seed + args.num)
    paths = output_paths(
        *(args.picture, args.output, f"{large.text}-{args.seed}", seeds, [args.picture]),
        check=check_ending,
    )
    picture = read_image(args.picture)
    own: dict[str, Any] = {"command": "upscale", "picture_sha256": sha256_of(args.picture)}
    own["sample_version"] = versions()["sample"]
    with open_models(args) as models:
        plan = large.plan_enlargement(models, picture)
        large.log(models, plan, "upscale")
        for number, (seed, path) in enumerate(zip(seeds, paths, strict=True), 1):
            condition, origin = condition_of_enlargement(models, seed)
            facts = models.facts | own | {"seed": seed} | large.facts | origin
            if not _is_drawn(path, facts):
                write_enlargement(large, models, picture, seed, condition, path, facts)
            print(f"{path}  ({number} of {args.num})" if args.num > 1 else path, flush=True)


def _enlarger_facts(args: argparse.Namespace, large: "LargeImage | None") -> dict[str, Any]:
    if large is None or large.enlarger is None:
        return {}
    from pdm.inference.any_size.enlarger_models import digests_of_loaded

    own = {"path": str(args.enlarger), "sha256": large.enlarger.facts["diffusion_sha256"]}
    return {"enlarger": own} | digests_of_loaded(large.enlarger)


def _is_drawn(path: Path, facts: dict[str, Any]) -> bool:
    """Tell whether an earlier call has written an image, and say so in the log."""
    from pdm.inference.any_size.unfinished import remove_unfinished
    from pdm.inference.pictures.file_names import is_drawn

    if not is_drawn(path, facts):
        return False
    remove_unfinished(path)
    logger.info("%s exists already, with the same seed, models and settings; not drawn again", path)
    return True
