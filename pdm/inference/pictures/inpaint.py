"""Fills a part of an image in, by a model trained for it or by any other.

A network that was trained for inpainting gets the image without the part and where the part is.
An unconditional one, or one with classes, draws the whole window and is held to the known part of
the latents at every step (`pdm.diffusion.mask_blending`). Either way known pixels stay, to the bit.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from pdm.config.task import ClassTask, InpaintingTask, UnconditionalTask
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.inference.conditioning import GuidedCondition
from pdm.inference.latent_sampling import KnownLatents, SamplingInputs
from pdm.inference.pictures.loaded_models import LoadedModels
from pdm.inference.pictures.windows import Window, pad_to_size, round_up, window_around
from pdm.tasks.inpainting import masked_condition
from pdm.tasks.partial_pictures.compose import extend, fill_in, soften
from pdm.tasks.partial_pictures.masks import Mask, batch_of_masks, known_cells


def check_model(models: LoadedModels) -> None:
    """Raise BadInput if the model can neither fill in nor draw freely."""
    if not isinstance(models.task, InpaintingTask | UnconditionalTask | ClassTask):
        raise BadInput(
            f"the model was trained for {models.task.kind}, which cannot fill an image in; take "
            "one trained for inpainting (`pyramid preset task-inpainting`), or an unconditional one"
        )


def inpaint(
    models: LoadedModels, picture: Pixels, mask: Mask, seeds: Sequence[int], soft_px: int = 0
) -> Iterator[Pixels]:
    """Fill an image in where the mask is true, once for each seed.

    The models see a window around the mask, at least as large as the images they learned from;
    what is beyond the image's edges is its mirror image.

    Args:
        models: The models.
        picture: uint8 (H, W, 3), of any size.
        mask: bool (H, W), true somewhere.
        seeds: Of the images to draw.
        soft_px: Width of a soft edge outside the mask; 0 keeps all pixels there, to the bit.

    Yields:
        uint8 (H, W, 3) for each seed.
    """
    alpha = soften(mask, soft_px)
    hole = alpha > 0
    window = window_around(hole, models.size, models.side_multiple)
    seen, hidden = pad_to_size(*_cut(picture, hole, window), _padded_size(models, window))
    for seed in seeds:
        drawn = _draw(models, seen, hidden, seed)[: window.height, : window.width]
        result = picture.copy()
        inside = window.of(picture), window.of(alpha)
        window.of(result)[:] = fill_in(inside[0], drawn, inside[1])
        yield result


def _draw(models: LoadedModels, picture: Pixels, mask: Mask, seed: int) -> Pixels:
    height, width = mask.shape
    if isinstance(models.task, InpaintingTask):
        condition = masked_condition([picture], [mask], models.encode)
        inputs = SamplingInputs(condition=GuidedCondition(condition))
    else:
        inputs = SamplingInputs(known=_known_latents(models, picture, mask))
    [drawn] = models.draw([seed], (height, width), inputs)
    return drawn


def _known_latents(models: LoadedModels, picture: Pixels, mask: Mask) -> KnownLatents:
    """Encode the image with its hole filled smoothly, and say which cells are known."""
    around = extend(picture.astype(np.float32), ~mask)
    filled = np.where(mask[..., None], around.round(), picture).astype(np.uint8)
    data = models.encode(filled[None])
    sizes = [(level.shape[2], level.shape[3]) for level in data]
    known = known_cells(batch_of_masks([mask]), sizes)
    return KnownLatents(data, tuple(cells.to(models.device) for cells in known))


def _cut(picture: Pixels, mask: Mask, window: Window) -> tuple[Pixels, Mask]:
    return window.of(picture), window.of(mask)


def _padded_size(models: LoadedModels, window: Window) -> tuple[int, int]:
    least, multiple = models.size, models.side_multiple
    return (
        round_up(max(window.height, least[0]), multiple),
        round_up(max(window.width, least[1]), multiple),
    )
