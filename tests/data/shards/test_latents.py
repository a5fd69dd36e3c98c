import pytest
import torch

from pdm.data.shards import manifest
from pdm.data.shards.latent_file import write_shard
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput, QualityGate

SHAPES = [(5, 1, 1), (3, 2, 4)]


def pyramid(count: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(count, *shape, generator=generator) for shape in SHAPES)


@pytest.fixture
def folder(tmp_path):
    shards = [
        write_shard(
            tmp_path / f"train-{number:06}.safetensors",
            [f"{number}-{row}" for row in range(count)],
            pyramid(count, number),
        )
        for number, count in enumerate((3, 0, 4))
    ]
    manifest.Manifest({"train": shards}, {}).save(tmp_path)
    return tmp_path


def test_latents_come_back_by_number_across_shards(folder):
    latents = LatentShards(folder, "train")
    assert len(latents) == 7
    assert latents.level_shapes == tuple(SHAPES)
    assert latents.keys == ["0-0", "0-1", "0-2", "2-0", "2-1", "2-2", "2-3"]
    whole = [torch.cat(levels) for levels in zip(pyramid(3, 0), pyramid(4, 2), strict=True)]
    for found, stored in zip(latents.batch([6, 0, 3, 3, 2]), whole, strict=True):
        assert torch.equal(found, stored[[6, 0, 3, 3, 2]])


def test_equal_latents_give_equal_bytes(tmp_path):
    for name in "ab":
        write_shard(tmp_path / name, ["x", "y"], pyramid(2, 0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_an_absent_split_is_bad_input(folder):
    with pytest.raises(BadInput, match="'val'"):
        LatentShards(folder, "val")


def test_a_shard_with_another_number_of_latents_is_named(folder):
    path = folder / "train-000000.safetensors"
    before = path.stat().st_size
    shard = write_shard(path, ["0-0", "0-1"], pyramid(2, 0))
    path.write_bytes(path.read_bytes() + bytes(before - shard.num_bytes))
    with pytest.raises(QualityGate, match=r"train-000000\.safetensors"):
        LatentShards(folder, "train")
    record = manifest.load(folder)
    shard = write_shard(path, ["0-0", "0-1"], pyramid(2, 0))
    stated = manifest.Shard(shard.name, 3, shard.num_bytes, shard.sha256)
    manifest.Manifest({"train": [stated, *record.splits["train"][1:]]}, {}).save(folder)
    with pytest.raises(QualityGate, match=r"holds .* where the manifest says 3"):
        LatentShards(folder, "train")


def test_garbage_is_named(folder):
    path = folder / "train-000002.safetensors"
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(QualityGate, match=r"train-000002\.safetensors cannot be read"):
        LatentShards(folder, "train")


def test_classes_are_read_back_as_labels_in_the_order_of_the_manifest(tmp_path):
    classes = [["sea", None], ["dunes", "sea"]]
    shards = [
        write_shard(
            tmp_path / f"train-{i:06}.safetensors", [f"{i}-0", f"{i}-1"], pyramid(2, i), one
        )
        for i, one in enumerate(classes)
    ]
    manifest.Manifest({"train": shards}, {"classes": ["dunes", "sea"]}).save(tmp_path)
    assert LatentShards(tmp_path, "train").labels.tolist() == [1, 2, 0, 1]
    manifest.Manifest({"train": shards}, {"classes": ["sea"]}).save(tmp_path)
    with pytest.raises(QualityGate, match="unlisted class 'dunes'"):
        LatentShards(tmp_path, "train")
