"""The commands themselves. Heavy imports are inside the functions."""

import argparse
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdm.cli.pictures.large import (
    check_enlarger_of,
    upscale_to_size,
    wanted_size,
    with_enlarger,
    write_drawing,
)
from pdm.cli.pictures.models import open_models
from pdm.errors import BadInput
from pdm.files import check_output_folder

if TYPE_CHECKING:
    from pdm.config.sampling.prompts import Prompt
    from pdm.config.stages.sample import SampleConfig
    from pdm.data.annotations.boxes import Layout
    from pdm.data.pixels import Pixels
    from pdm.inference.any_size.large import LargeImage
    from pdm.inference.pictures.draw import Drawing
    from pdm.inference.pictures.loaded_models import LoadedModels


def inpaint(args: argparse.Namespace) -> None:
    """Draw the part of an image that is white in a mask. All other pixels stay."""
    from pdm.files import sha256_of
    from pdm.inference.pictures import inpaint as inpainting
    from pdm.inference.pictures.read import read_image, read_mask

    picture = read_image(args.picture)
    mask = read_mask(args.mask, picture, args.picture)
    paths = _output_paths(args, f"inpainted-{args.seed}", args.picture, args.mask)
    facts = {"command": "inpaint", "picture_sha256": sha256_of(args.picture)}
    facts |= {"mask_sha256": sha256_of(args.mask), "soft_edge_px": args.soft_edge}
    with open_models(args) as models:
        inpainting.check_model(models)
        drawn = inpainting.inpaint(models, picture, mask, _seeds(args), args.soft_edge)
        _write_all(args, drawn, paths, models.facts | facts)


def upscale(args: argparse.Namespace) -> None:
    """Enlarge an image of any size: by the factor that the model learned, or to any size."""
    from pdm.files import sha256_of
    from pdm.inference.pictures.read import read_image

    large = wanted_size(args)
    if large is not None:
        if args.guide_strength is not None:
            raise BadInput(
                "--guide-strength works with --factor only; use --factor in place of --size"
            )
        upscale_to_size(args, large)
        return
    picture = read_image(args.picture)
    if args.output:  # otherwise the name depends on the model's factor
        _output_paths(args, "", args.picture)
    facts = {"command": "upscale", "picture_sha256": sha256_of(args.picture)}
    if args.guide_strength is not None:
        facts["guide_strength"] = args.guide_strength
    with open_models(args) as models:
        _enlarge_by_factor(args, models, picture, facts)


def _enlarge_by_factor(
    args: argparse.Namespace, models: "LoadedModels", picture: "Pixels", facts: dict[str, Any]
) -> None:
    from pdm.inference.pictures import upscale as enlarging
    from pdm.progress import Progress

    method = enlarging.choose_method(models, args.factor, args.guide_strength)
    progress: list[Progress] = []

    def report(done: int, total: int) -> None:
        progress[:] = progress or [Progress("upscale", total, unit="tiles")]
        progress[0].reach(done)

    paths = _output_paths(args, f"x{method.factor}-{args.seed}", args.picture)
    drawn = (enlarging.upscale(models, method, picture, seed, report) for seed in _seeds(args))
    _write_all(args, drawn, paths, models.facts | facts)


def paint(args: argparse.Namespace) -> None:
    """Draw an image from a map of classes (an index PNG), at the map's size."""
    from pdm.data.annotations.maps import ClassMap
    from pdm.files import sha256_of
    from pdm.inference.pictures import paint as painting

    maps, paths = list[ClassMap](), list[Path]()

    def check(diffusion: Path, config: "SampleConfig") -> None:
        maps.append(painting.read_map_for(args.picture, diffusion))
        paths.extend(_output_paths(args, f"painted-{args.seed}", args.picture))

    with open_models(args, check) as models:
        facts = {"command": "paint", "map_sha256": sha256_of(args.picture)}
        drawn = painting.paint(models, maps[0], _seeds(args))
        _write_all(args, drawn, paths, models.facts | facts)


def draw(args: argparse.Namespace) -> None:
    """Draw images from prompts, from boxes, or without either."""
    from pdm.inference.pictures import draw as drawing

    if args.boxes is not None:
        _draw_boxes(args)
        return
    prompts = [_with_options(prompt, args) for prompt in _prompts(args)]
    if args.negative is not None and not prompts:
        raise BadInput("--negative requires a prompt, and a model that was trained with text")
    large = wanted_size(args, prompts)
    check_output_folder(args.output)

    def check(diffusion: Path, config: "SampleConfig") -> None:
        if prompts:
            drawing.check_prompts(prompts, diffusion, config)
        else:
            drawing.check_draws_alone(diffusion)
        check_enlarger_of(args, config)

    with open_models(args, check, prompts) as models:
        large = with_enlarger(args, large, models.config)
        drawings = [drawing.drawings_of_prompt(models, prompt, args.num) for prompt in prompts]
        drawings = drawings or [drawing.drawings_of_seeds(models, _seeds(args))]
        _write_drawings(args, drawings, large)


def _draw_boxes(args: argparse.Namespace) -> None:
    """Draw each layout of a file."""
    from pdm.inference.pictures import draw as drawing

    for option in ("prompt", "prompts", "negative"):
        if getattr(args, option) is not None:
            name = "a prompt" if option == "prompt" else f"--{option}"
            raise BadInput(f"--boxes cannot be combined with {name}; leave out one of the two")
    large = wanted_size(args)
    check_output_folder(args.output)
    layouts: list[Layout] = []

    def check(diffusion: Path, config: "SampleConfig") -> None:
        size = None if large is None else (large.size[1], large.size[0])
        layouts.extend(drawing.read_boxes(args.boxes, diffusion, size))
        check_enlarger_of(args, config)

    with open_models(args, check) as models:
        large, seeds = with_enlarger(args, large, models.config), _seeds(args)
        drawings = [drawing.drawings_of_layout(models, layout, seeds) for layout in layouts]
        _write_drawings(args, drawings, large)


def _write_drawings(
    args: argparse.Namespace,
    drawings: "Sequence[Iterator[Drawing]]",
    large: "LargeImage | None",
) -> None:
    """Write each image of each prompt or layout when it is drawn, and say where."""
    args.output.mkdir(parents=True, exist_ok=True)
    total, written = args.num * len(drawings), list[Path]()
    for each in itertools.chain(*drawings):
        path = write_drawing(args, each, large, written)
        written.append(path)
        print(f"{path}  ({len(written)} of {total})" if total > 1 else path, flush=True)


def _prompts(args: argparse.Namespace) -> "Sequence[Prompt]":
    """Read the prompt, or those of the file; none if neither is named."""
    from pdm.config.sampling.prompts import parse_prompt
    from pdm.inference.prompts import read_prompt_file

    if args.prompt is not None and args.prompts is not None:
        raise BadInput("a prompt and --prompts are given; name one of the two")
    if args.prompts is not None:
        return read_prompt_file(args.prompts, "--prompts")
    if args.prompt is None:
        return ()
    if not args.prompt.strip():
        raise BadInput('the prompt is empty; name what to draw, such as "a red sunset over a lake"')
    try:
        return [parse_prompt(args.prompt)]
    except ValueError as error:
        raise BadInput(f"the prompt: {error}") from error


def _with_options(prompt: "Prompt", args: argparse.Namespace) -> "Prompt":
    """The prompt with the command's options where it has none of its own."""
    return dataclasses.replace(
        prompt,
        seed=args.seed if prompt.seed is None else prompt.seed,
        negative=args.negative if prompt.negative is None else prompt.negative,
        guidance_scale=args.guidance if prompt.guidance_scale is None else prompt.guidance_scale,
    )


def _seeds(args: argparse.Namespace) -> range:
    return range(args.seed, args.seed + args.num)


def _output_paths(args: argparse.Namespace, suffix: str, *inputs: Path) -> list[Path]:
    """Name the file of each seed, none of which may replace an input."""
    from pdm.inference.pictures.read import output_paths

    return output_paths(args.picture, args.output, suffix, _seeds(args), inputs)


def _write_all(
    args: argparse.Namespace,
    pictures: "Iterable[Pixels]",
    paths: Sequence[Path],
    facts: dict[str, Any],
) -> None:
    """Write each image when it is drawn, and say where.

    A name that the user did not choose replaces no other image, such as one by another mask.
    """
    from pdm.inference.pictures.file_names import choose_path
    from pdm.inference.pictures.read import write_image

    written: list[Path] = []
    for seed, wanted, picture in zip(_seeds(args), paths, pictures, strict=True):
        provenance = {"seed": seed} | facts
        own = args.output is not None
        path = wanted if own else choose_path(wanted.parent, wanted.name, provenance, written)
        write_image(path, picture, provenance)
        written.append(path)
        print(f"{path}  ({len(written)} of {args.num})" if args.num > 1 else path, flush=True)
