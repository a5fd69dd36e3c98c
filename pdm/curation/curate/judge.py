"""Judges one picture by itself: bytes in, what was measured and the first rule that hits out.

    row = measure_file(content, config)  # looks at pixels, knows no limit
    verdict = decide(row, config)  # looks at the row, knows no pixel

This is what runs on the workers. Pixels never leave it. Every picture that can be decoded is
measured as far as its size allows, also those that a rule drops, so that limits can be changed
without decoding anything again.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from pdm.config.curate import ContentModelConfig, CurateConfig
from pdm.curation.curate import rules
from pdm.curation.curate.content.embedding import embedding
from pdm.curation.curate.content.towers import load_towers
from pdm.curation.curate.duplicates.small import small_picture
from pdm.curation.curate.framing.crop import largest_size
from pdm.curation.curate.framing.frame import Framing, frame
from pdm.curation.curate.framing.people import foreground
from pdm.curation.curate.scores.drawing import drawing_likeness, load_head
from pdm.curation.curate.scores.features import features_of, load_network
from pdm.curation.curate.scores.measure import measure, reduced
from pdm.data.decisions import JUDGED, Row
from pdm.data.decoding.pixels import (
    REDUCTIONS,
    Box,
    Header,
    Unreadable,
    View,
    crop_and_resize,
    decode_view,
    read_header,
)
from pdm.data.pixels import Pixels
from pdm.data.shards.tars import read_at

SMALL_PX = 768  # longer side of the copy on which borders, content and faces are looked for
MIN_MEASURED_PX = 64  # a crop with a shorter side is not measured: two blocks of the scores
# The decoder may reduce the crop to so much of the finished size. A third of all pixels, or a
# whole step of the decoder, is saved where a camera's picture is just short of twice the size.
MIN_SCALE = 0.9


def judge_row(row: Row, raw: Path, config: CurateConfig) -> Row:
    """Read a fetched image from its raw shard and judge it; returns the columns decided here.

    A keeper comes back as `kept` without a reason; whether it is a duplicate only the whole set
    can tell. Bytes that differ from those fetched make the row `failed`: fetching again may help.
    """
    content = read_at(raw / row["tar"], row["offset"], row["size"])
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        detail = f"The bytes in {row['tar']} are not those that were fetched; scrape again."
        return {"key": row["key"], "outcome": "failed", "reason": "damaged", "detail": detail}
    return {"key": row["key"], **judge(content, config)}


def judge(content: bytes, config: CurateConfig) -> Row:
    """Measure and judge the bytes of an image file."""
    row = measure_file(content, config)
    return row | decide(row, config)


def decide(row: Row, config: CurateConfig) -> Row:
    """The columns outcome, reason and detail for a measured row."""
    drop = rules.reason(row, config)
    if drop is None:
        return {"outcome": "kept", "reason": None, "detail": None}
    return {"outcome": "dropped", "reason": drop.reason, "detail": drop.detail}


def measure_file(content: bytes, config: CurateConfig) -> Row:
    """What the header says, where the crop lies, and all scores.

    Depends on the settings `SCORE_SETTINGS` and on `embedded_by` alone. A picture of more than
    `max_megapixels` and an animation are not decoded. Columns that were not measured are null.
    """
    row: Row = dict.fromkeys(JUDGED)
    row["background"] = "#{:02x}{:02x}{:02x}".format(*config.background)
    try:
        header = read_header(content)
        row |= dataclasses.asdict(header)
        too_large = header.width_px * header.height_px > config.max_megapixels * 1e6
        if not too_large and not header.animated:
            row |= _measured(content, header, config)
    except Unreadable as error:
        row |= faulty(error.kind, f"The file cannot be decoded: {error}.")
    return row


def load_networks(model: ContentModelConfig | None) -> None:
    """Load what pictures are looked at with, once in a process, so that none has to wait for it.

    Raises:
        Unavailable: A package of weights, or the file of the model, is not there.
        BadInput: Weights are not those that were meant.
    """
    load_network()
    load_head()
    if model:
        load_towers(Path(model.path), model.sha256)


def faulty(fault: str, detail: str) -> Row:
    """The columns of a file that gave no pixels."""
    return {"fault": fault, "fault_detail": detail}


@dataclass(frozen=True, slots=True)
class _Look:
    """A decoded image and what of it is judged."""

    view: View
    small: Pixels  # a reduced copy of the whole image
    framing: Framing
    box: Box  # the crop, or what takes its place in an image that is too small for one


def finished_crop(content: bytes, config: CurateConfig) -> Pixels | None:
    """The part of an image file that is judged, at the finished size or, if it is smaller, its own.

    None if it is too small to be measured.

    Raises:
        Unreadable: As `decode_view`.
    """
    look = _look(content, read_header(content), config)
    return _crop(look, config) if _is_measured(look.box) else None


def _look(content: bytes, header: Header, config: CurateConfig) -> _Look:
    size = (header.width_px, header.height_px)
    box_size = largest_size(*size, (config.width_px, config.height_px))
    view = decode_view(content, _reduction(box_size, config), config.background)
    small = reduced(view.pixels, SMALL_PX)
    framing = frame(small, size, config)
    box = framing.crop or _middle(framing.content, config)
    reduction = _reduction((box.width_px, box.height_px), config)
    if reduction < view.reduction:  # borders were trimmed: look again, closer
        view = decode_view(content, reduction, config.background)
    return _Look(view, small, framing, box)


def _measured(content: bytes, header: Header, config: CurateConfig) -> Row:
    look = _look(content, header, config)
    framing = look.framing
    row: Row = {
        "num_people": _num_people(framing, config),
        "content_width_px": framing.content.width_px,
        "content_height_px": framing.content.height_px,
        "border_share": framing.border_share,
        "transparent_share": round(look.view.transparent_share, 5),
        "small": small_picture(
            _part(look.small, framing.content, (header.width_px, header.height_px))
        ),
    }
    if framing.crop:
        row |= {f"crop_{name}": value for name, value in dataclasses.asdict(framing.crop).items()}
    if _is_measured(look.box):
        decoded = _inside(look.view, look.box)
        crop = _crop(look, config)
        row |= dataclasses.asdict(measure(crop, decoded, look.view.reduction))
        features = features_of(crop)
        row["drawing"] = round(drawing_likeness(features), 5)
        if config.content:
            row["embedding"] = embedding(crop, features, config.content.model)
    return row


def _is_measured(box: Box) -> bool:
    return min(box.width_px, box.height_px) >= MIN_MEASURED_PX


def _part(small: Pixels, box: Box, size: tuple[int, int]) -> Pixels:
    """A part of a picture of some width and height, in a reduced copy of it."""
    across, down = small.shape[1] / size[0], small.shape[0] / size[1]
    left, right = round(box.left_px * across), round((box.left_px + box.width_px) * across)
    top, bottom = round(box.top_px * down), round((box.top_px + box.height_px) * down)
    return small[top:bottom, left:right]


def _num_people(framing: Framing, config: CurateConfig) -> int | None:
    if config.people is None:
        return None
    return len(foreground(framing.faces, config.height_px, config.people))


def _reduction(box_size: tuple[int, int], config: CurateConfig) -> int:
    """The largest with which a crop is still measured at about its finished size."""
    for reduction in reversed(REDUCTIONS):
        if (
            box_size[0] / reduction >= MIN_SCALE * config.width_px
            and box_size[1] / reduction >= MIN_SCALE * config.height_px
        ):
            return reduction
    return 1


def _middle(content: Box, config: CurateConfig) -> Box:
    """The largest box of the crop's shape, in the middle: for pictures too small for the crop."""
    aspect = (config.width_px, config.height_px)
    width_px, height_px = largest_size(content.width_px, content.height_px, aspect)
    left_px = content.left_px + (content.width_px - width_px) // 2
    top_px = content.top_px + (content.height_px - height_px) // 2
    return Box(left_px, top_px, width_px, height_px)


def _crop(look: _Look, config: CurateConfig) -> Pixels:
    decoded = _inside(look.view, look.box)
    height_px, width_px = decoded.shape[:2]
    if width_px < config.width_px or height_px < config.height_px:
        return decoded
    whole = Box(0, 0, width_px, height_px)
    return crop_and_resize(decoded, whole, config.width_px, config.height_px)


def _inside(view: View, box: Box) -> Pixels:
    left, top = box.left_px // view.reduction, box.top_px // view.reduction
    width, height = box.width_px // view.reduction, box.height_px // view.reduction
    return view.pixels[top : top + height, left : left + width]
