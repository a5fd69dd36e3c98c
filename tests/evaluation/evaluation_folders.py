"""Small pictures, and folders of them as the other stages leave them."""

import io
import json

import numpy as np
from PIL import Image

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.data.provenance import pixels_sha256
from pdm.data.shards.manifest import Manifest, Shard
from pdm.data.shards.tars import write_tar

HEIGHT, WIDTH = 32, 64
NUM_TRAIN, NUM_VAL, NUM_SAMPLES = 12, 5, 6

CONFIG = EvaluateConfig(
    num_features=16,
    num_projections=16,
    patches_per_image=8,
    crops_per_image=2,
    crop_px=16,
    features=(),
    num_replicates=20,
    num_neighbours=3,
    batch_size=4,
    seed=0,
)


def landscape(seed, height=HEIGHT, width=WIDTH):
    """A sky, a ground and a sun, all of random colour and place, with a little texture."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / height
    horizon = random.uniform(0.3, 0.7) + 0.08 * np.sin(random.uniform(2, 8) * x)
    sky, ground, sun = random.uniform(30, 220, (3, 3))
    picture = np.where((y < horizon)[..., None], sky * (1 - 0.3 * y[..., None]), ground)
    centre = random.uniform(0, 0.3), random.uniform(0, width / height)
    picture[np.hypot(y - centre[0], x - centre[1]) < 0.12] = sun
    picture += random.normal(0, 6, picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


def png(picture):
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return content.getvalue()


def write_shards(folder, pictures):
    """`pictures`: split -> {key: picture}."""
    folder.mkdir(parents=True)
    splits = {}
    for split, named in pictures.items():
        path = folder / f"{split}-000000.tar"
        write_tar(
            path, ((key, {"png": png(each), "json": b"{}"}) for key, each in sorted(named.items()))
        )
        splits[split] = [Shard.of(path, len(named))]
    Manifest(splits, {"width_px": WIDTH, "height_px": HEIGHT}).save(folder)
    return folder


def write_samples(folder, pictures):
    folder.mkdir(parents=True)
    rows = []
    for index, picture in enumerate(pictures):
        name = f"{index:06}.png"
        (folder / name).write_bytes(png(picture))
        rows.append({"file": name, "seed": index, "pixels_sha256": pixels_sha256(picture)})
    (folder / "samples.json").write_text(json.dumps({"samples": rows, "steps": 4}))
    return folder


def training_picture(index):
    return landscape(1000 + index)
