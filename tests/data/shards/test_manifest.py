import pytest

from pdm.data.shards import manifest
from pdm.data.shards.manifest import Manifest, Shard
from pdm.errors import BadInput, QualityGate


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train-000000.tar").write_bytes(b"abc")
    shard = Shard.of(tmp_path / "train-000000.tar", num_samples=2)
    Manifest({"train": [shard], "val": []}, {"width_px": 4}).save(tmp_path)
    return tmp_path


def test_what_is_saved_is_loaded(folder):
    loaded = manifest.load(folder)
    assert loaded.num_samples("train") == 2
    assert loaded.num_samples("val") == 0
    assert loaded.facts == {"width_px": 4}
    assert loaded.splits["train"][0].sha256.startswith("ba7816bf")  # of "abc"


def test_the_digest_follows_the_content(folder):
    before = manifest.digest(folder)
    loaded = manifest.load(folder)
    loaded.save(folder)
    assert manifest.digest(folder) == before
    Manifest(loaded.splits, {"width_px": 8}).save(folder)
    assert manifest.digest(folder) != before


def test_a_folder_without_a_manifest_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="does not exist"):
        manifest.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", '{"splits": {"train": [{"nome": 1}]}, "facts": {}}'])
def test_a_manifest_that_cannot_be_read_is_bad_input(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BadInput, match="cannot be read"):
        manifest.load(folder)


def test_a_shard_of_another_size_is_named(folder):
    (folder / "train-000000.tar").write_bytes(b"abcd")
    with pytest.raises(QualityGate, match="4 bytes, the manifest says 3"):
        manifest.load(folder)


def test_a_missing_shard_is_named(folder):
    (folder / "train-000000.tar").unlink()
    with pytest.raises(QualityGate, match="missing"):
        manifest.load(folder)
