"""One file of latents: pictures of a shard, encoded.

level0 ... levelN            each (n, C, h, w), coarse to fine, float32 or as `latents.storage`
                             says
pictures, picture_ends       where pictures are kept: their PNGs one after another, uint8, and
                             where each ends; as many as originals, which come before their
                             mirrored copies
maps, map_ends               likewise, if the pictures have maps
metadata                     JSON lists with an entry for each picture: `keys`; `classes` (null:
                             none), `captions` and `layouts` (of boxes), each only if a picture
                             of the data has any
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pdm.data.annotations.boxes import Layout, layout_from_record
from pdm.data.shards import manifest
from pdm.errors import QualityGate
from pdm.files import atomic_file
from pdm.models.levels.pyramid import Pyramid

Packed = tuple[Tensor, Tensor]  # the bytes of all files, and where each ends
AGAIN = "write the latents again (stage 'latents')"


def write_shard(
    path: Path,
    keys: Sequence[str],
    pyramid: Pyramid,
    classes: Sequence[str | None] | None = None,
    dtype: torch.dtype = torch.float32,
    captions: Sequence[Sequence[str]] | None = None,
    pictures: Sequence[bytes] | None = None,
    maps: Sequence[bytes] | None = None,
    layouts: Sequence[Layout] | None = None,
) -> manifest.Shard:
    """Write one shard atomically; equal latents give equal bytes.

    Args:
        path: Replaced if it exists.
        keys: One for each picture.
        pyramid: Levels (n, C, h, w), coarse to fine.
        classes: One for each picture; None where no picture of the data has a class.
        dtype: Of the values on disk; readers get float32.
        captions: Of each picture; None where no picture of the data has any.
        pictures: PNGs of what was encoded, one for each original; None keeps none.
        maps: PNGs of their maps, of the same size; None where the data have no maps.
        layouts: Of each picture, a mirrored one's mirrored; None where the data have no boxes.
    """
    metadata = {"keys": json.dumps(list(keys))}
    if classes is not None:
        metadata["classes"] = json.dumps(list(classes))
    if captions is not None:
        metadata["captions"] = json.dumps([list(texts) for texts in captions], ensure_ascii=False)
    if layouts is not None:
        metadata["layouts"] = json.dumps([one.as_record() for one in layouts], ensure_ascii=False)
    tensors = {f"level{i}": level.cpu().to(dtype).contiguous() for i, level in enumerate(pyramid)}
    if pictures is not None:
        tensors |= _pack("picture", pictures)
    if maps is not None:
        tensors |= _pack("map", maps)
    with atomic_file(path) as temporary:
        save_file(tensors, temporary, metadata=metadata)
    return manifest.Shard.of(path, len(keys))


class OpenedShard(NamedTuple):
    """The content of a shard."""

    keys: list[str]
    classes: list[str | None]
    captions: list[tuple[str, ...]]
    layouts: list[Layout]
    pyramid: Pyramid
    pictures: Packed | None
    maps: Packed | None


def open_shard(path: Path, num_samples: int) -> OpenedShard:
    """Open a shard; the levels stay on disk until they are read.

    Raises:
        QualityGate: It is missing, damaged, or has another number of pictures.
    """
    try:
        with safe_open(path, framework="pt") as file:
            keys = json.loads(file.metadata()["keys"])
            classes = json.loads(file.metadata().get("classes", "null")) or [None] * len(keys)
            texts = json.loads(file.metadata().get("captions", "null")) or [()] * len(keys)
            captions = [tuple(each) for each in texts]
            records = json.loads(file.metadata().get("layouts", "null"))
            layouts = [*map(layout_from_record, records)] if records else [Layout()] * len(keys)
            names = set(file.keys())
            num_levels = sum(name.startswith("level") for name in names)
            pyramid = tuple(file.get_tensor(f"level{i}") for i in range(num_levels))
            pictures, maps = (
                (file.get_tensor(f"{name}s"), file.get_tensor(f"{name}_ends"))
                if f"{name}s" in names
                else None
                for name in ("picture", "map")
            )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise QualityGate(f"{path} cannot be read ({error}); {AGAIN}") from error
    by_picture = (keys, classes, captions, layouts, *pyramid)
    counts = set(map(len, by_picture))
    if counts != {num_samples}:
        raise QualityGate(
            f"{path} holds {sorted(counts)} latents where the manifest says {num_samples}; {AGAIN}"
        )
    return OpenedShard(keys, classes, captions, layouts, pyramid, pictures, maps)


def _pack(name: str, contents: Sequence[bytes]) -> dict[str, Tensor]:
    """Pack files into one tensor of bytes, and one of where each ends."""
    joined = np.frombuffer(b"".join(contents), dtype=np.uint8).copy()
    ends = torch.tensor([len(content) for content in contents]).cumsum(0)
    return {f"{name}s": torch.from_numpy(joined), f"{name}_ends": ends}
