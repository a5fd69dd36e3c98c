"""Frames a picture: trims its borders, then places the crop on its content or on people.

All decisions are made on a reduced copy of the upright picture; results are in pixels of the full
one. The crop always has the finished shape and at least the finished size, so that nothing is
enlarged.
"""

from dataclasses import dataclass

from pdm.config.stages.curate import CurateConfig, PeopleConfig
from pdm.curation.curate.framing.borders import NO_MARGINS, Margins, find_borders, trim
from pdm.curation.curate.framing.crop import choose_crop, nearest_size
from pdm.curation.curate.framing.faces import find_faces
from pdm.curation.curate.framing.people import crop_around, foreground
from pdm.data.decoding.pixels import Box
from pdm.data.pixels import Pixels


@dataclass(frozen=True, slots=True)
class Framing:
    """Boxes of the content, the faces and the crop, in pixels of the full upright picture."""

    content: Box  # the picture without its borders
    border_share: float  # of the picture's area that the borders take
    crop: Box | None  # None: the content is too small for it, or a face would be cut
    faces: tuple[Box, ...]  # largest first; empty without `people` in the config
    finished: tuple[int, int]  # width and height of the finished crop


def frame(small: Pixels, size: tuple[int, int], config: CurateConfig) -> Framing:
    """Decide which part of a picture becomes the crop.

    If the config asks for people and there are some, the crop is placed around them, else on the
    content.

    Args:
        small: (h, w, 3), the whole upright picture reduced to about 512 to 1024 pixels at its
            longer side, or the picture itself.
        size: Width and height of the full upright picture.
        config: Its finished sizes and `people` are used. The shape of the content chooses one.
    """
    margins = find_borders(small)
    pixels = trim(small, margins)
    content = _content_box(margins, small, size)
    share = 1 - content.width_px * content.height_px / (size[0] * size[1])
    faces = _faces(pixels, content) if config.people else ()
    finished = nearest_size(config.sizes, content.width_px, content.height_px)
    crop = None
    if content.width_px >= finished[0] and content.height_px >= finished[1]:
        crop = _crop(pixels, content, faces, finished, config.people)
    return Framing(content, round(share, 5), crop, faces, finished)


def _content_box(margins: Margins, small: Pixels, size: tuple[int, int]) -> Box:
    if margins == NO_MARGINS:
        return Box(0, 0, *size)
    across, down = size[0] / small.shape[1], size[1] / small.shape[0]
    left, top = round(margins.left * across), round(margins.top * down)
    right = round((small.shape[1] - margins.right) * across)
    bottom = round((small.shape[0] - margins.bottom) * down)
    return Box(left, top, right - left, bottom - top)


def _faces(pixels: Pixels, content: Box) -> tuple[Box, ...]:
    """Faces in the content; `pixels` are a reduced copy of it."""
    across, down = content.width_px / pixels.shape[1], content.height_px / pixels.shape[0]
    return tuple(
        Box(
            content.left_px + round(face.left * across),
            content.top_px + round(face.top * down),
            round(face.width * across),
            round(face.height * down),
        )
        for face in find_faces(pixels)
    )


def _crop(
    pixels: Pixels,
    content: Box,
    faces: tuple[Box, ...],
    finished: tuple[int, int],
    config: PeopleConfig | None,
) -> Box | None:
    if config and (people := foreground(faces, finished[1], config)):
        return crop_around(people, content, finished, config)
    box = choose_crop(pixels, (content.width_px, content.height_px), finished)
    left_px, top_px = content.left_px + box.left_px, content.top_px + box.top_px
    return Box(left_px, top_px, box.width_px, box.height_px)
