import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pdm.data.shards import manifest, tars
from pdm.data.shards.images import ImageShards
from pdm.data.shards.locations import write_index
from pdm.errors import BadInput, QualityGate


def picture(seed: int, width: int = 64, height: int = 32) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, encoding: str) -> bytes:
    file = io.BytesIO()
    options = {"jpeg": {"quality": 95}, "webp": {"lossless": True}, "png": {}}
    image.save(file, encoding, **options[encoding])
    return file.getvalue()


def write_shards(folder: Path, encoding: str = "png", num_shards: int = 2, per_shard: int = 3):
    folder.mkdir(exist_ok=True)
    shards = []
    for number in range(num_shards):
        path = folder / f"train-{number:06}.tar"
        seeds = range(number * per_shard, (number + 1) * per_shard)
        extension = {"jpeg": "jpg"}.get(encoding, encoding)
        tars.write_tar(
            path,
            (
                (
                    f"{seed:020x}",
                    {
                        extension: encoded(picture(seed), encoding),
                        "json": json.dumps({"key": f"{seed:020x}", "seed": seed}).encode(),
                    },
                )
                for seed in seeds
            ),
        )
        shards.append(manifest.Shard.of(path, per_shard))
    manifest.Manifest({"train": shards, "val": []}, {"width_px": 64, "height_px": 32}).save(folder)
    return folder


@pytest.mark.parametrize("encoding", ["png", "webp", "jpeg"])
def test_pictures_come_back_in_order_with_keys_and_records(tmp_path, encoding):
    shards = ImageShards(write_shards(tmp_path / "shards", encoding), "train")
    assert len(shards) == 6
    assert shards.keys == [f"{seed:020x}" for seed in range(6)]
    assert shards.record(4)["seed"] == 4
    found = shards.load(4, 32, 64).astype(int)
    assert np.abs(found - np.asarray(picture(4))).mean() < 6


def test_full_size_is_lossless_from_png(tmp_path):
    shards = ImageShards(write_shards(tmp_path / "shards"), "train")
    assert np.array_equal(shards.load(2, 32, 64), np.asarray(picture(2)))


@pytest.mark.parametrize("encoding", ["png", "jpeg"])
def test_reduction_is_antialiased(tmp_path, encoding):
    # The finest checkerboard is grey when reduced; without antialiasing it stays black or white.
    squares = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)
    board = Image.fromarray(squares).convert("RGB")
    folder = tmp_path / "shards"
    folder.mkdir()
    extension = {"jpeg": "jpg"}.get(encoding, encoding)
    tars.write_tar(folder / "train-000000.tar", [("a", {extension: encoded(board, encoding)})])
    shard = manifest.Shard.of(folder / "train-000000.tar", 1)
    manifest.Manifest({"train": [shard]}, {}).save(folder)
    found = ImageShards(folder, "train").load(0, 16, 16).astype(int)
    assert np.abs(found - 127.5).max() < 4


def test_all_at_once_equals_one_by_one(tmp_path):
    shards = ImageShards(write_shards(tmp_path / "shards"), "train")
    together = shards.reduced(8, 16)
    assert together.shape == (6, 8, 16, 3)
    assert together.nbytes == shards.num_bytes(8, 16)
    for index in range(6):
        assert np.array_equal(together[index], shards.load(index, 8, 16))
    assert shards.reduced(8, 16) is together


# Forty buckets at two sizes are usual; each that was dropped would be decoded again for one batch.
def test_no_size_is_read_again_however_many_there_are(tmp_path):
    shards = ImageShards(write_shards(tmp_path / "shards"), "train")
    first = shards.reduced(1, 2)
    for width in range(3, 103):
        shards.reduced(1, width)
    assert shards.reduced(1, 2) is first


def test_an_absent_or_empty_split_is_bad_input(tmp_path):
    folder = write_shards(tmp_path / "shards")
    for split in ("val", "test"):
        with pytest.raises(BadInput, match=f"'{split}'"):
            ImageShards(folder, split)
    with pytest.raises(BadInput, match="does not exist"):
        ImageShards(tmp_path / "nowhere", "train")


def test_a_shard_with_too_few_members_is_named(tmp_path):
    folder = write_shards(tmp_path / "shards")
    path = folder / "train-000001.tar"
    content = bytearray(path.read_bytes())
    third = tars.members(path)[4]
    content[third.offset - 512 : third.offset] = bytes(512)  # looks like the end of the tar
    path.write_bytes(content)
    with pytest.raises(QualityGate, match=r"train-000001\.tar holds 2 images .* says 3"):
        ImageShards(folder, "train")


def test_a_shard_of_garbage_is_named(tmp_path):
    folder = write_shards(tmp_path / "shards")
    path = folder / "train-000000.tar"
    path.write_bytes(b"\x01" * path.stat().st_size)
    with pytest.raises(QualityGate, match=r"train-000000\.tar"):
        ImageShards(folder, "train")


def test_a_picture_that_does_not_decode_is_named(tmp_path):
    folder = write_shards(tmp_path / "shards")
    path = folder / "train-000000.tar"
    content = bytearray(path.read_bytes())
    member = next(m for m in tars.members(path) if m.name.endswith("1.png"))
    content[member.offset : member.offset + member.size] = bytes(member.size)
    path.write_bytes(content)
    with pytest.raises(QualityGate, match=rf"train-000000\.tar.*{member.name[:20]}"):
        ImageShards(folder, "train").load(1, 32, 64)


def test_a_jpeg_at_its_own_size_has_the_pixels_of_pillow(tmp_path):
    folder = write_shards(tmp_path / "shards", "jpeg")
    shards = ImageShards(folder, "train")
    content = io.BytesIO(shards.samples.picture(1))
    assert np.array_equal(shards.load(1, 32, 64), np.asarray(Image.open(content)))


def test_with_an_index_no_header_is_read_and_all_samples_are_the_same(tmp_path, monkeypatch):
    folder = write_shards(tmp_path / "shards", num_shards=3)
    by_headers = ImageShards(folder, "train")
    write_index(folder, manifest.load(folder))

    def refuse(path):
        raise AssertionError(f"the headers of {path} were read")

    monkeypatch.setattr(tars, "members", refuse)
    indexed = ImageShards(folder, "train")
    assert indexed.keys == by_headers.keys
    for index in range(len(indexed)):
        assert indexed.samples.picture(index) == by_headers.samples.picture(index)
        assert indexed.record(index) == by_headers.record(index)


@pytest.mark.parametrize("content", [None, b"", b"no index"])
def test_an_index_of_other_shards_or_a_damaged_one_is_not_used(tmp_path, content):
    folder = write_shards(tmp_path / "shards")
    write_index(folder, manifest.load(folder))
    if content is None:
        write_shards(folder, encoding="webp")
    else:
        (folder / "index.safetensors").write_bytes(content)
    shards = ImageShards(folder, "train")
    assert np.array_equal(shards.load(2, 32, 64), np.asarray(picture(2)))
