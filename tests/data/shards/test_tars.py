import random
import tarfile

import pytest
import webdataset

from pdm.data.shards.tars import members, num_whole_members, read_at, read_members, write_tar

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


def test_the_bytes_are_those_of_webdatasets_own_writer(tmp_path):
    samples = [*SAMPLES, ("k" * 90, {"png": bytes(2_000_001), "cls": b""})]
    write_tar(tmp_path / "ours.tar", samples)
    with webdataset.TarWriter(str(tmp_path / "theirs.tar"), mtime=0) as writer:
        for key, parts in samples:
            writer.write({"__key__": key, **parts})
    assert (tmp_path / "ours.tar").read_bytes() == (tmp_path / "theirs.tar").read_bytes()


def test_a_member_is_found_where_the_tar_module_finds_it(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, SAMPLES)
    with tarfile.open(path) as tar:
        expected = [(info.name, info.offset_data, info.size) for info in tar]
    assert [(one.name, one.offset, one.size) for one in members(path)] == expected


def test_a_key_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'0003' is repeated"):
        write_tar(tmp_path / "a.tar", [*SAMPLES, SAMPLES[3]])
    assert list(tmp_path.iterdir()) == []


def test_a_flipped_bit_anywhere_in_a_header_is_seen_or_harmless(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, SAMPLES)
    clean, expected = path.read_bytes(), members(path)
    start = expected[4].offset - 512
    for bit in range(0, 512 * 8, 37):
        damaged = bytearray(clean)
        damaged[start + bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(tarfile.ReadError):
            members(path)


def test_a_tar_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.tar"
    write_tar(path, SAMPLES)
    last = members(path)[-2]
    with path.open("r+b") as file:
        file.truncate(last.offset + last.size - 1)
    with pytest.raises(tarfile.ReadError, match="more than the tar has"):
        members(path)


@pytest.mark.parametrize(
    "info", [{"name": "../a.jpg"}, {"name": "/a.jpg"}, {"type": tarfile.SYMTYPE}]
)
def test_links_and_paths_are_refused(tmp_path, info):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("a.jpg")
        for name, value in info.items():
            setattr(member, name, value)
        tar.addfile(member)
    with pytest.raises(tarfile.ReadError, match="not a regular file"):
        members(path)


@pytest.mark.parametrize("key", ["a.b", "../a", "a/b", ""])
def test_keys_that_would_merge_samples_or_leave_the_folder_are_refused(tmp_path, key):
    with pytest.raises(ValueError, match="key"):
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


def test_the_members_of_an_unfinished_tar_are_counted_as_far_as_they_are_whole(tmp_path):
    whole, part = tmp_path / "a.tar", tmp_path / "part.tar"
    write_tar(whole, SAMPLES)
    content = whole.read_bytes()
    listed = members(whole)
    ends = [member.offset + member.size for member in listed]
    for length in range(0, len(content), 97):
        part.write_bytes(content[:length])
        assert num_whole_members(part) == sum(end <= length for end in ends)
    assert num_whole_members(whole) == len(listed)
    assert num_whole_members(tmp_path / "gone.tar") == 0
