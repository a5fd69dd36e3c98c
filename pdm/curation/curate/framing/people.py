"""Places the crop around people: no face is cut, eyes at the upper third, people in the middle.

Boxes are in pixels of the full upright picture. The composition follows photographers' habits; the
weights only rank the positions that are allowed.
"""

import numpy as np
from numpy.typing import NDArray

from pdm.config.stages.curate import PeopleConfig
from pdm.curation.curate.framing.crop import largest_size
from pdm.data.decoding.pixels import Box

Numbers = NDArray[np.float64]

EYES = 0.42  # of a face's height, from its top (measured with MTCNN's own landmarks: 0.40 to 0.44)
EYES_AT = 1 / 3  # of the crop's height, from its top
# A head around a face, as shares of the face's sides: hair above, ears, chin below.
HAIR, EARS, CHIN = 0.45, 0.2, 0.15
CUT_FACE, CUT_HEAD = 10.0, 0.1  # cost of each; a fifth of a side off the ideal place costs 0.04
NUM_STARTS = 65  # positions that are tried along each axis
RIM = 0.02  # share of a face's side that may be outside: the detector is not more precise


def foreground(
    faces: tuple[Box, ...], finished_height_px: int, config: PeopleConfig
) -> tuple[Box, ...]:
    """The faces that are large enough to be of the picture's subjects."""
    min_height_px = config.min_face_share * finished_height_px
    return tuple(face for face in faces if face.height_px >= min_height_px)


def crop_around(
    people: tuple[Box, ...], content: Box, finished: tuple[int, int], config: PeopleConfig
) -> Box | None:
    """The crop around faces, or None if every crop would cut the largest face.

    The crop is as large as possible while the largest face has at least its share of the crop's
    height. It contains all faces if they fit, else the largest one, and cuts no other.

    Args:
        people: Faces to include, largest first; at least one.
        content: The crop must be inside it; at least of the finished size.
        finished: Width and height of the finished crop: its shape and least size.
        config: Its `min_face_share` limits the crop's height.
    """
    size = _size(people[0], content, finished, config)
    left, top = (
        np.linspace(start, start + room, NUM_STARTS)
        for start, room in (
            (content.left_px, content.width_px - size[0]),
            (content.top_px, content.height_px - size[1]),
        )
    )
    lefts, tops = (places.ravel() for places in np.meshgrid(left, top))
    together = [(people, _cost(people, people, lefts, tops, size))]
    alone = [(people[:1], _cost(people[:1], people, lefts, tops, size))]
    for _, cost in together + alone:
        best = int(np.argmin(cost))
        if cost[best] < CUT_FACE:
            return Box(int(lefts[best]), int(tops[best]), *size)
    return None


def _size(
    largest: Box, content: Box, finished: tuple[int, int], config: PeopleConfig
) -> tuple[int, int]:
    width_px, height_px = largest_size(content.width_px, content.height_px, finished)
    limit_px = round(largest.height_px / config.min_face_share)
    if limit_px >= height_px:
        return width_px, height_px
    return largest_size(width_px, max(limit_px, finished[1]), finished)


def _cost(
    included: tuple[Box, ...],
    people: tuple[Box, ...],
    lefts: Numbers,
    tops: Numbers,
    size: tuple[int, int],
) -> Numbers:
    """Cost of each position of a crop that should include some faces; below 10 none is cut."""
    cost = _off_centre(included, lefts, tops, size)
    for face in people:
        is_inside = _inside(_expand(face, -RIM, -RIM, -RIM), lefts, tops, size) == 1
        is_touched = _inside(face, lefts, tops, size) > 0
        is_wrong = ~is_inside if face in included else is_touched & ~is_inside
        head = _expand(face, HAIR, EARS, CHIN)
        head_is_cut = is_inside & (_inside(head, lefts, tops, size) < 1)
        cost += CUT_FACE * is_wrong + CUT_HEAD * head_is_cut
    return cost


def _off_centre(
    faces: tuple[Box, ...], lefts: Numbers, tops: Numbers, size: tuple[int, int]
) -> Numbers:
    """Squared distance of faces from their ideal place, in shares of the crop's sides."""
    middle = (
        min(face.left_px for face in faces) + max(face.left_px + face.width_px for face in faces)
    ) / 2
    eyes = float(np.mean([face.top_px + EYES * face.height_px for face in faces]))
    aside: Numbers = (middle - lefts) / size[0] - 0.5
    above: Numbers = (eyes - tops) / size[1] - EYES_AT
    return np.asarray(aside**2 + above**2)


def _inside(face: Box, lefts: Numbers, tops: Numbers, size: tuple[int, int]) -> Numbers:
    """Share of the face that is inside the crop, for each position of the crop."""
    right = np.minimum(face.left_px + face.width_px, lefts + size[0])
    bottom = np.minimum(face.top_px + face.height_px, tops + size[1])
    across = np.maximum(right - np.maximum(face.left_px, lefts), 0)
    down = np.maximum(bottom - np.maximum(face.top_px, tops), 0)
    return np.asarray(across * down / (face.width_px * face.height_px))


def _expand(face: Box, above: float, beside: float, below: float) -> Box:
    return Box(
        round(face.left_px - beside * face.width_px),
        round(face.top_px - above * face.height_px),
        round((1 + 2 * beside) * face.width_px),
        round((1 + above + below) * face.height_px),
    )
