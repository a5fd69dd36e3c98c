"""Seams at the borders of tiles, and collages of pictures that know nothing of each other.

Small models of built-in landscapes are trained here. Pictures of the trained size are enlarged
four times, in two rounds. Each begins at noise, where tiles know least of each other.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.parts.any_size.seam_lines import (
    FACTOR,
    TRAINED,
    contrast_line,
    enlarge_all,
    landscapes,
    large_size,
    seam_line,
    train_with_close_ups,
)
from benchmarks.parts.any_size.seam_scores import (
    Floats,
    Judge,
    interval,
    likeness,
    seam_scores,
)
from benchmarks.parts.tasks import world
from benchmarks.shared.ratios import Ratio
from pdm.config.sampling.tiling import MODES, Mode
from pdm.data.image_tensors import to_pixels
from pdm.data.pixels import Pixels
from pdm.evaluation.learned_distance import LearnedDistance
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.any_size.tiled.canvas import Canvas, count_known_levels
from pdm.inference.any_size.tiled.decode import decode_bands
from pdm.inference.any_size.tiled.encode import encode_maps
from pdm.inference.any_size.tiled.enlarged import EnlargedImage
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.models.features.variants import is_installed

STRENGTH = 1.0
JUDGE = "efficientnet-lite1"


@dataclass(frozen=True)
class Size:
    world: world.Size
    num_pictures: int
    num_gradients: int


QUICK = Size(world.QUICK, 2, 2)
FULL = Size(TRAINED, 10, 5)


def measure(size: Size, folder: Path) -> list[Ratio]:
    """Train, enlarge drawn pictures and plain gradients in all modes, and score them."""
    models = train_with_close_ups(
        world.params_of(size.world, "model-tiny", None), size.world, folder
    )
    real = landscapes(large_size(models), size.num_pictures)
    drawn = [models.draw([seed], models.size)[0] for seed in range(size.num_pictures)]
    plain = [_gradient(models, seed) for seed in range(size.num_gradients)]
    pictures = {mode: enlarge_all(models, drawn, mode, STRENGTH) for mode in MODES}
    gradients = {mode: enlarge_all(models, plain, mode, STRENGTH) for mode in MODES}
    truth = seam_scores(real, models.size)
    lines = [
        seam_line(
            *(mode, pictures[mode], truth, models.size, "seam", "drawn pictures"),
            goal="at most 1.05" if mode == "fstd" else "",
        )
        for mode in MODES
    ]
    lines.append(contrast_line(pictures, models.size, "seam", "a picture drawn"))
    even = np.ones(size.num_gradients)  # of a gradient without seams
    lines += [
        seam_line(
            *(mode, gradients[mode], even, models.size, "seam_on_gradients", "plain gradients"),
            truth="an even gradient",
        )
        for mode in MODES
    ]
    lines.append(_decoding_line(models, real))
    for key, judge in _judges().items():
        own = likeness(real, models.size, judge)
        for mode in MODES:
            drawn_tiles = likeness(pictures[mode], models.size, judge)
            lines.append(_collage_line(mode, drawn_tiles, own, key))
    return lines


def _judges() -> dict[str, Judge]:
    """Networks that compare tiles, by the first word of their keys: random weights and, where its
    package is installed, a trained one."""
    found: dict[str, Judge] = {"collage": ReferenceDistance()}
    if is_installed(JUDGE):
        found["collage_trained"] = LearnedDistance(JUDGE)
    return found


def _collage_line(mode: Mode, values: Floats, real: Floats, key: str) -> Ratio:
    low, high = interval(values, real, _difference_of_means)
    network = "random weights" if key == "collage" else JUDGE
    return Ratio(
        f"{key}_{mode}",
        f"likeness between the tiles of a drawn picture by a network of {network}, {mode}, less "
        "that of real pictures (above 0: more alike)",
        float(values.mean()),
        float(real.mean()),
        "cosine",
        (_difference_of_means(values, real),),
        "",
        f"95 % interval over {len(values)} pictures: {low:.3f} to {high:.3f}.",
    )


def _decoding_line(models: LoadedModels, pictures: list[Pixels]) -> Ratio:
    """Compare two ways through the autoencoder at a size that it was not trained at."""
    truth = np.stack(pictures)
    size = truth.shape[1], truth.shape[2]
    whole = []
    in_tiles = []
    with torch.no_grad():
        for picture in pictures:
            images = models.autoencoder.decode(models.encode(picture[None]), size)
            whole.append(to_pixels(images)[0])
            canvas = Canvas(models, EnlargedImage(picture, 1, size), count_known_levels(models, 2))
            bands = decode_bands(canvas, encode_maps(canvas, 8), 8)
            in_tiles.append(np.concatenate(list(bands)))
    tiled_db, whole_db = (world.psnr(np.stack(each), truth) for each in (in_tiles, whole))
    return Ratio(
        "large_psnr_gain_db",
        f"PSNR of real pictures {FACTOR} times as large as trained, encoded and decoded in "
        "overlapping tiles of the trained size, less that as a whole",
        tiled_db,
        whole_db,
        "dB",
        (tiled_db - whole_db,),
        "",
        "As a whole is also what exact tiles give (pdm.models.autoencoder_parts.tiling).",
    )


def _difference_of_means(values: Floats, reference: Floats) -> float:
    return float(values.mean() - reference.mean())


def _gradient(models: LoadedModels, seed: int) -> Pixels:
    """A picture of the trained size that goes evenly from one colour to another."""
    random = np.random.default_rng(seed)
    height, width = models.size
    begin, end = random.uniform(60, 200, (2, 3))
    slope = random.uniform(0, 1)
    rows, columns = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[:, None]
    share = slope * rows + (1 - slope) * columns
    return np.asarray((begin + (end - begin) * share).round(), np.uint8)
