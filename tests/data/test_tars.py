import random

import pytest
import webdataset

from pdm.data.tars import members, read_at, read_members, write_tar

SAMPLES = [(f"{n:04}", {"jpg": bytes([n]) * (100 * n), "json": b'{"n": %d}' % n}) for n in range(7)]


def test_equal_samples_give_equal_bytes(tmp_path):
    write_tar(tmp_path / "a.tar", SAMPLES)
    write_tar(tmp_path / "b.tar", iter(SAMPLES))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_members_are_read_by_offset(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, SAMPLES)
    found = members(path)
    random.Random(0).shuffle(found)
    for member in found:
        key, extension = member.name.split(".")
        assert read_at(path, member.offset, member.size) == dict(SAMPLES)[key][extension]
    assert read_members(path)["0003.json"] == b'{"n": 3}'


def test_webdataset_reads_the_same_samples(tmp_path):
    write_tar(tmp_path / "a.tar", SAMPLES)
    dataset = webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False)
    read = [(sample["__key__"], {k: sample[k] for k in ("jpg", "json")}) for sample in dataset]
    assert read == SAMPLES


@pytest.mark.parametrize("key", ["a.b", "../a", "a/b"])
def test_keys_that_would_merge_samples_or_leave_the_folder_are_refused(tmp_path, key):
    with pytest.raises(AssertionError):
        write_tar(tmp_path / "a.tar", [(key, {"jpg": b"x"})])
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_fails_leaves_the_old_tar(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, SAMPLES)
    before = path.read_bytes()

    def broken():
        yield SAMPLES[0]
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_tar(path, broken())
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.tar"]
