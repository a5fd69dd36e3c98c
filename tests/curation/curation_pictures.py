"""Pictures for the tests of curation, drawn from a seed, and a raw folder of them."""

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageFilter

from pdm.config.stages.curate import CurateConfig
from pdm.config.stages.shard import ShardConfig
from pdm.data.shards.tars import members, write_tar

# The limits of params.yaml at an eighth of the size. Drawings are kept, since `scene` draws.
CURATE = CurateConfig(
    width_px=256,
    height_px=128,
    max_megapixels=2.0,
    decode_seconds=30.0,
    background=(255, 255, 255),
    max_transparent_share=0.05,
    max_border_share=0.5,
    people=None,
    content=None,
    min_crop_share=0.5,
    min_sharpness=0.22,
    min_high_frequency=0.0085,
    max_repetition=0.25,
    max_blocking=0.9,
    min_detail_share=0.02,
    min_contrast=0.05,
    min_brightness=0.08,
    max_brightness=0.92,
    max_black_share=0.4,
    max_white_share=0.4,
    allow_grey=False,
    min_colour=0.003,
    allow_drawings=True,
    max_drawing_likeness=0.7,
    near_duplicate_bits=8,
    near_duplicate_difference=0.25,
    min_kept=1,
)
SHARD = ShardConfig(
    encoding="jpeg",
    jpeg_quality=95,
    num_train_shards=2,
    num_val_shards=1,
    val_share=0.25,
)


def but(config, **changes):
    return dataclasses.replace(config, **changes)


def scene(seed: int, width_px: int = 320, height_px: int = 200) -> Image.Image:
    """Overlapping polygons as through a lens, with a little grain."""
    random = np.random.default_rng(seed)
    down, across = np.mgrid[:height_px, :width_px] / height_px
    picture = np.full((height_px, width_px, 3), 0.5)
    for _ in range(30):
        middle = random.random(2) * (1, width_px / height_px)
        angle, length = random.random() * np.pi, 0.05 + 0.3 * random.random()
        along = (down - middle[0]) * np.sin(angle) + (across - middle[1]) * np.cos(angle)
        beside = (down - middle[0]) * np.cos(angle) - (across - middle[1]) * np.sin(angle)
        inside = (np.abs(along) < length) & (np.abs(beside) < 0.4 * length)
        picture[inside] = 0.1 + 0.8 * random.random(3)
    drawn = Image.fromarray((255 * picture).astype(np.uint8))
    seen = np.asarray(drawn.filter(ImageFilter.GaussianBlur(0.6)), dtype=np.float64)  # by a lens
    seen += 4 * random.standard_normal((height_px, width_px, 1))
    return Image.fromarray(seen.clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=quality)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


def enlarged(image: Image.Image, times: float) -> Image.Image:
    small = image.resize((round(image.width / times), round(image.height / times)))
    return small.resize(image.size, Image.Resampling.BICUBIC)


def flawed() -> dict[str, bytes]:
    """One picture for each reason; the duplicates are of `scene(0)`."""
    whole = jpeg(scene(101))
    return {
        "too_small": jpeg(scene(102, 255, 200)),
        "wrong_shape": jpeg(scene(103, 280, 600)),
        "too_many_pixels": jpeg(scene(104, 2000, 1001)),
        "unreadable": whole[: len(whole) // 2],
        "dark": jpeg(scene(105).point(lambda value: value // 12)),
        "light": jpeg(scene(106).point(lambda value: 240 + value // 20)),
        "low_information": jpeg(Image.new("RGB", (320, 200), (90, 120, 150))),
        "blurry": jpeg(scene(107).filter(ImageFilter.GaussianBlur(4))),
        "enlarged": jpeg(enlarged(scene(108), 3), quality=95),
        "exact_duplicate": jpeg(scene(0)),
        "near_duplicate": jpeg(scene(0).resize((300, 188)), quality=80),
    }


def key_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:20]


def write_raw(folder: Path, files: dict[str, bytes], num_shards: int = 2, **columns: str) -> None:
    """A raw folder as `scrape` leaves it, with one URL more that was not found."""
    folder.mkdir(parents=True)
    by_shard = {number: {} for number in range(num_shards)}
    for name, content in files.items():
        by_shard[int(key_of(name), 16) % num_shards][key_of(name)] = name, content
    for number, entries in by_shard.items():
        tar = folder / f"{number:05}.tar"
        write_tar(tar, [(key, {"jpg": entries[key][1]}) for key in sorted(entries)])
        places = {member.name: member for member in members(tar)}
        rows = [
            row_of(entries[key][0], entries[key][1], places[f"{key}.jpg"]) | columns
            for key in sorted(entries)
        ]
        rows += [unfetched_row()] if number == 0 else []
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / f"{number:05}.parquet")


def row_of(name, content, place):
    return {
        "key": key_of(name),
        "url": f"http://pictures.test/{name}",
        "source": "urls:list.csv",
        "caption": f"a picture called {name}",
        "licence": "CC0-1.0",
        "author": "A. Painter",
        "class_name": "scenes" if name.startswith("scene-") else None,
        "status": "ok",
        "final_url": f"http://store.test/{name}",
        "retrieved_at": "2026-11-21T10:00:00Z",
        "sha256": hashlib.sha256(content).hexdigest(),
        "num_bytes": len(content),
        "member": place.name,
        "offset": place.offset,
        "size": place.size,
    }


def unfetched_row():
    return {
        "key": key_of("missing"),
        "url": "http://pictures.test/missing",
        "source": "urls:list.csv",
        "status": "dropped",
        "reason": "http_404",
        "error_message": "HTTP Error 404: Not Found",
    }


SCHEMA = pa.schema(
    [
        (name, pa.int64() if name in ("num_bytes", "offset", "size") else pa.string())
        for name in (
            *("key", "url", "source", "caption", "licence", "status", "reason", "error_message"),
            *("author", "class_name", "final_url", "retrieved_at"),
            *("sha256", "num_bytes", "member", "offset", "size"),
        )
    ]
)
