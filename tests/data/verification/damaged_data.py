"""Small data of each kind, damage done to it, and what the check says of that."""

import hashlib
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pdm.data.shards import latent_file, manifest, tars
from pdm.data.verification.verify import verify
from pdm.errors import QualityGate

WIDTH, HEIGHT = 32, 16
SPLITS = {"train-000000": ["a1", "b2", "c3"], "train-000001": ["d4"], "val-000000": ["e5", "f6"]}


def picture(seed, width=WIDTH):
    pixels = np.random.default_rng(seed).integers(0, 255, (HEIGHT, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def record(key, split, **changes):
    facts = {"key": key, "split": split, "width_px": WIDTH, "height_px": HEIGHT}
    return json.dumps(facts | changes).encode()


def sample(key, split, **changes):
    content = picture(ord(key[0]))
    digest = hashlib.sha256(content).hexdigest()
    record_of = record(key, split, **({"image_sha256": digest, "sha256": key * 32} | changes))
    return key, {"png": content, "json": record_of}


def write_manifest(folder, counts=None):
    """List what is in the folder, so that only looking inside can find what is wrong."""
    splits = {"train": [], "val": []}
    for path in sorted(folder.glob("*.tar")):
        split = path.name.split("-")[0]
        number = (counts or {}).get(path.stem, len(SPLITS[path.stem]))
        splits[split].append(manifest.Shard.of(path, number))
    facts = {"width_px": WIDTH, "height_px": HEIGHT, "extension": "png"}
    manifest.Manifest(splits, facts).save(folder)


def write_shards(folder):
    for stem, keys in SPLITS.items():
        split = stem.split("-")[0]
        tars.write_tar(folder / f"{stem}.tar", [sample(key, split) for key in keys])
    write_manifest(folder)
    return folder


def write_raw(folder):
    contents = {key: {"png": picture(ord(key[0]))} for key in ("a1", "b2")}
    tars.write_tar(folder / "00000.tar", contents.items())
    rows = [
        {
            "key": member.name.split(".")[0],
            "status": "ok",
            "sha256": hashlib.sha256(contents[member.name.split(".")[0]]["png"]).hexdigest(),
            "member": member.name,
            "offset": member.offset,
            "size": member.size,
        }
        for member in tars.members(folder / "00000.tar")
    ]
    rows.append(dict.fromkeys(rows[0]) | {"key": "c3", "status": "failed"})
    pq.write_table(pa.Table.from_pylist(rows), folder / "00000.parquet")
    return folder


def write_latents(folder):
    folder.mkdir()
    pyramid = (torch.ones(2, 3, 1, 1), torch.ones(2, 1, 2, 4))
    listed = latent_file.write_shard(folder / "train-000000.safetensors", ["a1", "b2"], pyramid)
    facts = {"level_shapes": [[3, 1, 1], [1, 2, 4]]}
    manifest.Manifest({"train": [listed], "val": []}, facts).save(folder)
    return folder


def damages(folder, caplog):
    """All lines of damage, without the path."""
    caplog.clear()
    with pytest.raises(QualityGate, match="fault"):
        verify([folder])
    lines = [line.message for line in caplog.records if line.message.startswith("damaged: ")]
    return [line.removeprefix(f"damaged: {folder}/") for line in lines]


def flip(path, place, bits=0xFF):
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)


def member(path, name):
    return next(one for one in tars.members(path) if one.name == name)
