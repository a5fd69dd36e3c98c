"""What the parts on seams share: models, enlarged and real pictures, and lines of the table."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.parts.any_size.seam_scores import Floats, interval, seam_scores
from benchmarks.parts.tasks import world
from benchmarks.shared.ratios import Ratio
from pdm.config import Params
from pdm.config.sampling.tiling import Mode, TilingConfig
from pdm.curation.scrape.drawing.landscapes import draw_with_map
from pdm.data.pixels import Pixels
from pdm.inference.any_size.tiled.canvas import enlarging_factors
from pdm.inference.any_size.tiled.enlarge import enlarge
from pdm.inference.pictures.loaded_models import LoadedModels

TRAINED = world.Size(160, 40, 3200, 9600, 12)  # for figures that count
FACTOR = 4  # of the enlargement, in all rounds together
Size = tuple[int, int]


def seam_line(
    mode: Mode,
    pictures: list[Pixels],
    real: Floats,
    tile: Size,
    key: str,
    what: str,
    truth: str = "real pictures",
    goal: str = "",
) -> Ratio:
    """Compare the seam scores of pictures with `real` ones of what they are compared with."""
    scores = seam_scores(pictures, tile)
    low, high = interval(scores, real, ratio_of_means)
    return Ratio(
        f"{key}_{mode}",
        f"seam score of {what}, {mode}, over that of {truth} (less is better)",
        float(scores.mean()),
        float(real.mean()),
        "",
        (ratio_of_means(scores, real),),
        goal,
        f"95 % interval over {len(pictures)} pictures: {low:.3f} to {high:.3f}.",
    )


def contrast_line(pictures: dict[Mode, list[Pixels]], tile: Size, key: str, what: str) -> Ratio:
    """Compare the same pictures in two modes: what composition has to do with it cancels out."""
    with_seams, without = (seam_scores(pictures[mode], tile) for mode in ("none", "fstd"))
    ratios = with_seams / without
    low, high = interval(ratios, np.ones(1), ratio_of_means)
    return Ratio(
        f"{key}_none_vs_fstd",
        f"seam score of {what} without overlap, over that of the same in mode fstd",
        float(with_seams.mean()),
        float(without.mean()),
        "",
        (float(ratios.mean()),),
        "",
        f"95 % interval over {len(ratios)} pictures: {low:.3f} to {high:.3f}.",
    )


def train_with_close_ups(config: Params, size: world.Size, folder: Path) -> LoadedModels:
    """Train both models of a task; the autoencoder on parts of pictures, too, as tiles are."""
    config = dataclasses.replace(
        config, autoencoder=dataclasses.replace(config.autoencoder, close_up=0.5)
    )
    return world.train_task(config, world.train_first_stage(size, config, folder), folder).models


def ratio_of_means(values: Floats, reference: Floats) -> float:
    """Return the ratio of two means."""
    return float(values.mean() / reference.mean())


def landscapes(size: Size, count: int) -> list[Pixels]:
    """Draw landscapes of (H, W) pixels that no model was trained on."""
    height, width = size
    return [
        np.asarray(
            Image.fromarray(draw_with_map(world.SEED + 1, index, 2 * width, 2 * height)[0]).resize(
                (width, height), Image.Resampling.BOX
            )
        )
        for index in range(count)
    ]


def large_size(models: LoadedModels) -> Size:
    """Return (H, W) of pictures `FACTOR` times as large as trained."""
    height, width = models.size
    return height * FACTOR, width * FACTOR


def enlarge_all(
    models: LoadedModels, pictures: list[Pixels], mode: Mode, strength: float | None
) -> list[Pixels]:
    """Enlarge pictures `FACTOR` times, in as many rounds as the model needs at its least factor.

    Args:
        models: The models.
        pictures: Each gets its place in the list as its seed.
        mode: How tiles lie.
        strength: As for `enlarge`.
    """
    [factor, *_] = enlarging_factors(models)
    tiling = TilingConfig(mode=mode, tiles_at_once=8)
    results = []
    for seed, picture in enumerate(pictures):
        large = picture
        while len(large) < FACTOR * len(picture):
            bands = enlarge(models, large, factor, tiling=tiling, seed=seed, strength=strength)
            large = np.concatenate(list(bands))
        results.append(large)
    return results
