"""Where the crop lies around people: faces whole, eyes at the upper third, people in the middle.

Boxes are in pixels of the full upright picture. How a crop is composed around a portrait follows
the habit of photographers; the weights only rank what is allowed.
"""

import numpy as np
from numpy.typing import NDArray

from pdm.config.curate import PeopleConfig
from pdm.curation.curate.framing.crop import largest_size
from pdm.data.decoding.pixels import Box

Numbers = NDArray[np.float64]

EYES = 0.42  # of a face's height, from its top (measured with MTCNN's own landmarks: 0.40 to 0.44)
EYES_AT = 1 / 3  # of the crop's height, from its top
# A head around a face, as shares of the face's sides: hair above, ears, chin below.
HAIR, EARS, CHIN = 0.45, 0.2, 0.15
CUT_FACE, CUT_HEAD = 10.0, 0.1  # cost of each, where leaving the thirds by a fifth costs 0.04
NUM_STARTS = 65  # places that are tried along each axis
RIM = 0.02  # of a face's side that may lie outside: the detector is no more exact


def foreground(
    faces: tuple[Box, ...], finished_height_px: int, config: PeopleConfig
) -> tuple[Box, ...]:
    """The faces that are large enough to be of people whom the picture is about."""
    min_height_px = config.min_face_share * finished_height_px
    return tuple(face for face in faces if face.height_px >= min_height_px)


def crop_around(
    people: tuple[Box, ...], content: Box, finished: tuple[int, int], config: PeopleConfig
) -> Box | None:
    """The crop around faces, largest first; None if the largest cannot be kept whole.

    As much of the picture as possible, but no more than lets the largest face have its least share
    of the crop's height. All faces lie within if there is room for them, else the largest does and
    no other is cut through.

    Args:
        people: At least one, those that count.
        content: Where the crop must lie; at least of the finished size.
        finished: Width and height of the finished crop, which sets the shape and the least size.
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
    kept: tuple[Box, ...],
    people: tuple[Box, ...],
    lefts: Numbers,
    tops: Numbers,
    size: tuple[int, int],
) -> Numbers:
    """What is wrong with each place of a crop that is to keep these faces; below 10 it does."""
    cost = _off_centre(kept, lefts, tops, size)
    for face in people:
        whole = _inside(_grown(face, -RIM, -RIM, -RIM), lefts, tops, size) == 1
        touched = _inside(face, lefts, tops, size) > 0
        wrong = ~whole if face in kept else touched & ~whole
        head = _grown(face, HAIR, EARS, CHIN)
        cost += CUT_FACE * wrong + CUT_HEAD * (whole & (_inside(head, lefts, tops, size) < 1))
    return cost


def _off_centre(
    kept: tuple[Box, ...], lefts: Numbers, tops: Numbers, size: tuple[int, int]
) -> Numbers:
    """Squared distance of the faces from where they should be, in shares of the crop's sides."""
    middle = (
        min(face.left_px for face in kept) + max(face.left_px + face.width_px for face in kept)
    ) / 2
    eyes = float(np.mean([face.top_px + EYES * face.height_px for face in kept]))
    aside: Numbers = (middle - lefts) / size[0] - 0.5
    above: Numbers = (eyes - tops) / size[1] - EYES_AT
    return np.asarray(aside**2 + above**2)


def _inside(face: Box, lefts: Numbers, tops: Numbers, size: tuple[int, int]) -> Numbers:
    """Share of the box that each place of the crop holds."""
    right = np.minimum(face.left_px + face.width_px, lefts + size[0])
    bottom = np.minimum(face.top_px + face.height_px, tops + size[1])
    across = np.maximum(right - np.maximum(face.left_px, lefts), 0)
    down = np.maximum(bottom - np.maximum(face.top_px, tops), 0)
    return np.asarray(across * down / (face.width_px * face.height_px))


def _grown(face: Box, above: float, beside: float, below: float) -> Box:
    return Box(
        round(face.left_px - beside * face.width_px),
        round(face.top_px - above * face.height_px),
        round((1 + 2 * beside) * face.width_px),
        round((1 + above + below) * face.height_px),
    )
