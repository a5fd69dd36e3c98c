"""Other views of a picture, which are of the same kind: what sites and cameras do to pictures."""

import cv2
import numpy as np

from pdm.data.decoding.resize import downscale
from pdm.data.pixels import Pixels


def other_view(crop: Pixels, random: np.random.Generator) -> Pixels:
    """A random part, by chance mirrored, reduced, in other tones, or saved as a JPEG."""
    height, width = crop.shape[:2]
    share = random.uniform(0.5, 1)
    size = max(64, int(width * share)), max(64, int(height * share))
    left, top = random.integers(0, width - size[0] + 1), random.integers(0, height - size[1] + 1)
    part = crop[top : top + size[1], left : left + size[0]]
    if random.random() < 0.5:
        part = part[:, ::-1]
    part = np.ascontiguousarray(part)
    if random.random() < 0.6 and min(size) > 200:
        share = random.uniform(max(0.25, 160 / min(size)), 1)
        part = downscale(part, round(size[0] * share), round(size[1] * share))
    if random.random() < 0.6:
        part = _other_tones(part, random)
    if random.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(55, 96))]
        saved = cv2.imencode(".jpg", part[..., ::-1], quality)[1]
        decoded = cv2.imdecode(saved, cv2.IMREAD_COLOR)
        assert decoded is not None  # it was encoded in the line above
        part = np.asarray(decoded[..., ::-1], np.uint8)
    return np.ascontiguousarray(part)


def _other_tones(part: Pixels, random: np.random.Generator) -> Pixels:
    tones = 128 + (part.astype(np.float32) - 128) * random.uniform(0.75, 1.2)
    tones += random.uniform(-15, 15)
    grey = tones.mean(axis=2, keepdims=True)
    tones = grey + (tones - grey) * random.uniform(0.5, 1.3)
    return np.asarray(tones.clip(0, 255), np.uint8)
