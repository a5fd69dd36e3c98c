"""Judges one picture: measures its file, and finds the first rule that it breaks.

    row = measure_file(content, config)  # uses pixels, but no limits
    verdict = decide(row, config)  # uses the row, but no pixels

This runs on the workers; pixels stay there. Every picture that can be decoded is measured as far as
its size allows, even one that a rule drops, so that limits can be changed without decoding again.
"""

import dataclasses
import hashlib
from dataclasses import dataclass
from pathlib import Path

from pdm.config.stages.curate import ContentModelConfig, CurateConfig
from pdm.curation.curate.content.clip_model import load_clip_model
from pdm.curation.curate.content.embedding import embed
from pdm.curation.curate.duplicates.small import small_picture
from pdm.curation.curate.framing.crop import largest_size, nearest_size
from pdm.curation.curate.framing.frame import Framing, frame
from pdm.curation.curate.framing.people import foreground
from pdm.curation.curate.rules import decide
from pdm.curation.curate.scores.drawing import drawing_likeness, load_head
from pdm.curation.curate.scores.features import compute_features, load_network
from pdm.curation.curate.scores.measure import measure, reduce_to
from pdm.data.decisions import JUDGED, Row, faulty
from pdm.data.decoding.pixels import (
    REDUCTIONS,
    Box,
    Header,
    Unreadable,
    View,
    decode_view,
    read_header,
)
from pdm.data.decoding.resize import crop_and_resize
from pdm.data.pixels import Pixels
from pdm.data.shards.tars import read_at

SMALL_PX = 768  # longer side of the copy in which borders, content and faces are searched
MIN_MEASURED_PX = 64  # shorter sides are not measured; the scores use blocks of 32 pixels
# The decoder may reduce the crop to this share of the finished size. This saves a step of the
# decoder for pictures that are a little smaller than twice the finished size, as those of many
# cameras are.
MIN_SCALE = 0.9


def judge_row(row: Row, raw: Path, config: CurateConfig) -> Row:
    """Read a fetched image from its raw shard and judge it; return the decided columns.

    An image that breaks no rule is `kept`, without a reason; duplicates are found later, in the
    whole set. If the bytes differ from those that were fetched, the row is `failed`, since fetching
    again may help.
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


def measure_file(content: bytes, config: CurateConfig) -> Row:
    """The facts of the header, the crop, and all scores.

    Depends on the settings `SCORE_SETTINGS` and on `embedding_network` only. Animations and
    pictures of more than `max_megapixels` are not decoded. Columns that were not measured are null.
    """
    row: Row = dict.fromkeys(JUDGED)
    row["background"] = "#{:02x}{:02x}{:02x}".format(*config.background)
    try:
        header = read_header(content)
        row |= dataclasses.asdict(header)
        too_large = header.width_px * header.height_px > config.max_megapixels * 1e6
        if not too_large and not header.animated:
            row |= _measure_pixels(content, header, config)
    except Unreadable as error:
        row |= faulty(error.kind, f"The file cannot be decoded: {error}.")
    return row


def load_networks(model: ContentModelConfig | None) -> None:
    """Load all networks, once per process, before the first image, whose time is limited.

    Raises:
        Unavailable: A package of weights, or the file of the model, is missing.
        BadInput: Weights have another sha256.
    """
    load_network()
    load_head()
    if model:
        load_clip_model(Path(model.path), model.sha256)


@dataclass(frozen=True, slots=True)
class _FramedImage:
    """A decoded image and the part of it that is judged."""

    view: View
    small: Pixels  # a reduced copy of the whole image
    framing: Framing
    box: Box  # the crop, or the largest box of its shape in an image that is too small


def finished_crop(content: bytes, config: CurateConfig) -> Pixels | None:
    """The part of an image file that is judged, at the finished size or its own smaller one.

    None if it is too small to be measured.

    Raises:
        Unreadable: As `decode_view`.
    """
    image = _decode_and_frame(content, read_header(content), config)
    return _crop(image) if _is_measured(image.box) else None


def _decode_and_frame(content: bytes, header: Header, config: CurateConfig) -> _FramedImage:
    size = (header.width_px, header.height_px)
    likely = nearest_size(config.sizes, *size)  # borders may lead to another
    reduction = _reduction(largest_size(*size, likely), likely)
    view = decode_view(content, reduction, config.background)
    small = reduce_to(view.pixels, SMALL_PX)
    framing = frame(small, size, config)
    box = framing.crop or _middle(framing.content, framing.finished)
    reduction = _reduction((box.width_px, box.height_px), framing.finished)
    if reduction < view.reduction:  # borders were trimmed: decode again, less reduced
        view = decode_view(content, reduction, config.background)
    return _FramedImage(view, small, framing, box)


def _measure_pixels(content: bytes, header: Header, config: CurateConfig) -> Row:
    image = _decode_and_frame(content, header, config)
    framing = image.framing
    row: Row = {
        "num_people": _num_people(framing, config),
        "content_width_px": framing.content.width_px,
        "content_height_px": framing.content.height_px,
        "border_share": framing.border_share,
        "transparent_share": round(image.view.transparent_share, 5),
        "small": small_picture(
            _part(image.small, framing.content, (header.width_px, header.height_px))
        ),
    }
    if framing.crop:
        row |= {f"crop_{name}": value for name, value in dataclasses.asdict(framing.crop).items()}
    if _is_measured(image.box):
        decoded = _inside(image.view, image.box)
        crop = _crop(image)
        row |= dataclasses.asdict(measure(crop, decoded, image.view.reduction))
        features = compute_features(crop)
        row["drawing"] = round(drawing_likeness(features), 5)
        if config.content:
            row["embedding"] = embed(crop, features, config.content.model)
    return row


def _is_measured(box: Box) -> bool:
    return min(box.width_px, box.height_px) >= MIN_MEASURED_PX


def _part(small: Pixels, box: Box, size: tuple[int, int]) -> Pixels:
    """The part of a reduced copy that corresponds to a box of the full picture."""
    across, down = small.shape[1] / size[0], small.shape[0] / size[1]
    left, right = round(box.left_px * across), round((box.left_px + box.width_px) * across)
    top, bottom = round(box.top_px * down), round((box.top_px + box.height_px) * down)
    return small[top:bottom, left:right]


def _num_people(framing: Framing, config: CurateConfig) -> int | None:
    if config.people is None:
        return None
    return len(foreground(framing.faces, framing.finished[1], config.people))


def _reduction(box_size: tuple[int, int], finished: tuple[int, int]) -> int:
    """The largest reduction with which a crop still has about its finished size."""
    for reduction in reversed(REDUCTIONS):
        if (
            box_size[0] / reduction >= MIN_SCALE * finished[0]
            and box_size[1] / reduction >= MIN_SCALE * finished[1]
        ):
            return reduction
    return 1


def _middle(content: Box, finished: tuple[int, int]) -> Box:
    """The largest box of the crop's shape, in the middle: for pictures too small for the crop."""
    width_px, height_px = largest_size(content.width_px, content.height_px, finished)
    left_px = content.left_px + (content.width_px - width_px) // 2
    top_px = content.top_px + (content.height_px - height_px) // 2
    return Box(left_px, top_px, width_px, height_px)


def _crop(image: _FramedImage) -> Pixels:
    decoded, finished = _inside(image.view, image.box), image.framing.finished
    height_px, width_px = decoded.shape[:2]
    if width_px < finished[0] or height_px < finished[1]:
        return decoded
    return crop_and_resize(decoded, Box(0, 0, width_px, height_px), *finished)


def _inside(view: View, box: Box) -> Pixels:
    left, top = box.left_px // view.reduction, box.top_px // view.reduction
    width, height = box.width_px // view.reduction, box.height_px // view.reduction
    return view.pixels[top : top + height, left : left + width]
