"""A simple loop as a peer: Pillow decodes and reduces, numpy measures.

It makes the same decisions by the same rules, with every score written down from its definition,
on whole decoded pictures, in double precision. Where a crop lies is decided by the project's own
function in both loops: placing it is not what is compared. Nor is the network that tells drawings
from photographs, which both loops call in the same way.
"""

import dataclasses
import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate import rules
from pdm.curation.curate.framing.frame import frame
from pdm.curation.curate.judge import SMALL_PX
from pdm.curation.curate.scores.drawing import drawing_likeness
from pdm.curation.curate.scores.features import compute_features
from pdm.curation.curate.scores.measure import Scores
from pdm.data.decisions import DECIDED, Row
from pdm.data.pixels import Pixels

Floats = NDArray[np.float64]
Measure = Callable[[Pixels, Pixels], Scores]


def curate(content: bytes, config: CurateConfig, measure: Measure) -> tuple[Row, bytes | None]:
    """The judged row of a picture, and the crop's JPEG if it is kept."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    small = image.copy()
    small.thumbnail((SMALL_PX, SMALL_PX), Image.Resampling.BOX, reducing_gap=None)
    framing = frame(np.asarray(small), image.size, config)
    row: Row = dict.fromkeys(DECIDED) | {
        "width_px": image.width,
        "height_px": image.height,
        "content_width_px": framing.content.width_px,
        "content_height_px": framing.content.height_px,
        "border_share": framing.border_share,
    }
    box = framing.crop
    if box is None:
        return row | _outcome(row, config), None
    part = image.crop(
        (box.left_px, box.top_px, box.left_px + box.width_px, box.top_px + box.height_px)
    )
    crop = part.resize((config.width_px, config.height_px), Image.Resampling.LANCZOS)
    row |= {f"crop_{name}": value for name, value in dataclasses.asdict(box).items()}
    row |= dataclasses.asdict(measure(np.asarray(crop), np.asarray(part)))
    row["drawing"] = drawing_likeness(compute_features(np.asarray(crop)))
    row |= _outcome(row, config)
    return row, _saved(crop) if row["outcome"] == "kept" else None


def _outcome(row: Row, config: CurateConfig) -> Row:
    drop = rules.reason(row, config)
    return {"outcome": "dropped" if drop else "kept", "reason": drop.reason if drop else None}


def _saved(crop: Image.Image) -> bytes:
    buffer = io.BytesIO()
    crop.save(buffer, "jpeg", quality=95, subsampling=0)
    return buffer.getvalue()


def measured(crop: Pixels, decoded: Pixels) -> Scores:
    """All scores of a finished crop, and of the same part of the picture as it was decoded."""
    luma = np.rint(crop @ np.array([0.299, 0.587, 0.114]))
    source = np.rint(decoded @ np.array([0.299, 0.587, 0.114]))
    steps, ranges = _edges(luma)
    sharpness = _sharpness(steps, ranges)
    low, high = np.quantile(luma, (0.05, 0.95))
    columns = np.abs(np.diff(source, axis=1)).mean(axis=0)
    rows = np.abs(np.diff(source, axis=0)).mean(axis=1)
    return Scores(
        sharpness=sharpness,
        high_frequency=_high_frequency(luma, sharpness),
        detail_share=float((ranges >= 32).mean()),
        contrast=float(high - low) / 255,
        brightness=float(luma.mean()) / 255,
        black_share=float((luma <= 3).mean()),
        white_share=float((luma >= 252).mean()),
        colour=_colour(crop),
        blocking=max(0.0, min(_blocking(profile) for profile in (columns, rows))),
        repetition=min(_repetition(profile) for profile in (columns, rows)),
    )


def _tiles(values: Floats, size: int) -> Floats:
    rows, columns = values.shape[0] // size, values.shape[1] // size
    whole = values[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return whole.swapaxes(1, 2).reshape(-1, size, size)


def _edges(luma: Floats) -> tuple[Floats, Floats]:
    blocks = _tiles(luma, 32)
    across = np.abs(np.diff(blocks, axis=2)).max(axis=(1, 2))
    down = np.abs(np.diff(blocks, axis=1)).max(axis=(1, 2))
    return np.maximum(across, down), np.ptp(blocks, axis=(1, 2))


def _sharpness(steps: Floats, ranges: Floats) -> float:
    edged = ranges >= 32
    ratios = np.maximum(steps[edged] - 4, 0) / (ranges[edged] - 4)
    return float(np.quantile(ratios, 0.95)) if edged.any() else 0.0


def _high_frequency(luma: Floats, sharpness: float) -> float:
    windows = _tiles(luma, 128)
    windows = windows - windows.mean(axis=(1, 2), keepdims=True)
    taper = np.hanning(128)
    power = np.abs(np.fft.rfft2(windows * np.outer(taper, taper))) ** 2
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128))
    power /= np.square(taper).sum() ** 2
    middle = power[:, (frequency >= 0.12) & (frequency < 0.25)].mean(axis=1)
    high = power[:, (frequency >= 0.4) & (frequency < 0.5)].mean(axis=1)
    middle, high = (np.maximum(band - 1 / 12, 0) for band in (middle, high))
    order = np.argsort(-middle)
    order = order[middle[order] > 0.2 * middle[order[:8]].mean()]
    if not order.size:
        return 0.0
    middle, high = middle[order], high[order]
    best = np.argsort(-high / middle)[:8]
    strongest, sharpest = high[:8].sum() / middle[:8].sum(), high[best].sum() / middle[best].sum()
    return float(max(strongest, 0.7 * sharpest, 0.013 * sharpness))


def _colour(crop: Pixels) -> float:
    small = Image.fromarray(crop).resize((256, 128), Image.Resampling.BOX).convert("YCbCr")
    coded = np.asarray(small, dtype=np.float64).reshape(-1, 3)
    tone = (coded[:, 0] // 8).astype(int)
    means = np.array([coded[tone == one, 1:].mean(axis=0) for one in np.unique(tone)])
    offsets = coded[:, 1:] - means[np.searchsorted(np.unique(tone), tone)]
    return float(np.sqrt(np.square(offsets / 255).mean(axis=0).sum()))


def _blocking(profile: Floats) -> float:
    means = profile[: len(profile) // 8 * 8].reshape(-1, 8).mean(axis=0)
    inside = (means.sum() - means.max()) / 7
    return float((means.max() - inside) / (inside + 0.7))


def _repetition(profile: Floats) -> float:
    near = np.lib.stride_tricks.sliding_window_view(np.pad(profile, 3, mode="edge"), 7).max(axis=1)
    return float(((profile < 0.4 * near) & (near > 1.5)).mean())
