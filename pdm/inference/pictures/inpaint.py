"""Fills a part of a picture in, by a model trained for it or by any other.

A network that was trained for inpainting gets the picture without the part and where the part is.
An unconditional one, or one with classes, draws the whole window and is held to the known part of
the latents at every step (`pdm.diffusion.known`). Either way known pixels stay, to the bit.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from pdm.config.task import ClassTask, InpaintingTask, UnconditionalTask
from pdm.data.pixels import Pixels
from pdm.errors import BadInput
from pdm.inference.latent_sampling import Known
from pdm.inference.pictures.studio import Studio
from pdm.inference.pictures.windows import Window, pad_to_size, round_up, window_around
from pdm.models.condition import Condition
from pdm.tasks.compose import extend, fill_in, soften
from pdm.tasks.inpainting import masked_condition
from pdm.tasks.masks import Mask, batch_of_masks, known_cells


def check_model(studio: Studio) -> None:
    """Raise BadInput if the model can neither fill in nor draw freely."""
    if not isinstance(studio.task, InpaintingTask | UnconditionalTask | ClassTask):
        raise BadInput(
            f"the model was trained for {studio.task.kind}, which cannot fill a picture in; take "
            "one trained for inpainting (`pyramid preset task-inpainting`), or an unconditional one"
        )


def inpaint(
    studio: Studio, picture: Pixels, mask: Mask, seeds: Sequence[int], soft_px: int = 0
) -> Iterator[Pixels]:
    """Fill a picture in where the mask is true, once for each seed.

    The models see a window around the mask, at least as large as the pictures they learned from;
    what is beyond the picture's edges is its mirror image.

    Args:
        studio: The models.
        picture: uint8 (H, W, 3), of any size.
        mask: bool (H, W), true somewhere.
        seeds: Of the pictures to draw.
        soft_px: Width of a soft edge outside the mask; 0 keeps all pixels there, to the bit.

    Yields:
        uint8 (H, W, 3) for each seed.
    """
    alpha = soften(mask, soft_px)
    hole = alpha > 0
    window = window_around(hole, studio.size, studio.side_multiple)
    seen, hidden = pad_to_size(*_cut(picture, hole, window), _padded_size(studio, window))
    for seed in seeds:
        drawn = _draw(studio, seen, hidden, seed)[: window.height, : window.width]
        result = picture.copy()
        inside = window.of(picture), window.of(alpha)
        window.of(result)[:] = fill_in(inside[0], drawn, inside[1])
        yield result


def _draw(studio: Studio, picture: Pixels, mask: Mask, seed: int) -> Pixels:
    height, width = mask.shape
    condition: Condition | None = None
    known: Known | None = None
    if isinstance(studio.task, InpaintingTask):
        condition = masked_condition([picture], [mask], studio.encode)
    else:
        known = _known_latents(studio, picture, mask)
    [drawn] = studio.draw([seed], (height, width), condition, known)
    return drawn


def _known_latents(studio: Studio, picture: Pixels, mask: Mask) -> Known:
    """Encode the picture with its hole filled smoothly, and say which cells are known."""
    around = extend(picture.astype(np.float32), ~mask)
    filled = np.where(mask[..., None], around.round(), picture).astype(np.uint8)
    data = studio.encode(filled[None])
    sizes = [(level.shape[2], level.shape[3]) for level in data]
    known = known_cells(batch_of_masks([mask]), sizes)
    return Known(data, tuple(cells.to(studio.device) for cells in known))


def _cut(picture: Pixels, mask: Mask, window: Window) -> tuple[Pixels, Mask]:
    return window.of(picture), window.of(mask)


def _padded_size(studio: Studio, window: Window) -> tuple[int, int]:
    least, multiple = studio.size, studio.side_multiple
    return (
        round_up(max(window.height, least[0]), multiple),
        round_up(max(window.width, least[1]), multiple),
    )
