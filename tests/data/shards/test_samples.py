"""Reading samples by number and in order, and refusing what was not written."""

import hashlib
import json

import pytest
import webdataset

from pdm import cli
from pdm.data.shards import manifest, tars
from pdm.data.shards.samples import Samples
from pdm.errors import QualityGate


def sample(number, **changes):
    picture = bytes([number]) * (700 * number + 1)
    record = {"key": f"{number:04}", "image_sha256": hashlib.sha256(picture).hexdigest()}
    return f"{number:04}", {"jpg": picture, "json": json.dumps(record | changes).encode()}


def write(folder, *shards):
    """One tar for each list of samples; what the manifest says of them."""
    listed = []
    for number, samples in enumerate(shards):
        path = folder / f"train-{number:06}.tar"
        tars.write_tar(path, samples)
        listed.append(manifest.Shard.of(path, len(samples)))
    return listed


@pytest.fixture
def listed(tmp_path):
    return write(tmp_path, [sample(n) for n in range(5)], [], [sample(n) for n in range(5, 7)])


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_the_stream_gives_what_webdataset_gives(tmp_path, listed):
    urls = [str(tmp_path / shard.name) for shard in listed if shard.num_samples]
    peer = webdataset.WebDataset(urls, shardshuffle=False)
    expected = [(one["__key__"], one["jpg"], one["json"]) for one in peer]
    assert list(Samples(tmp_path, listed).stream()) == expected


def test_any_sample_is_read_by_number(tmp_path, listed):
    samples = Samples(tmp_path, listed)
    for index in (6, 0, 4, 5):
        assert samples.picture(index) == sample(index)[1]["jpg"]
        assert samples.record(index)["key"] == samples.keys[index] == f"{index:04}"


def test_every_flipped_byte_of_a_picture_is_found_when_it_is_read(tmp_path, listed):
    path = tmp_path / listed[0].name
    picture = next(one for one in tars.members(path) if one.name == "0003.jpg")
    clean = path.read_bytes()
    for place in range(picture.offset, picture.offset + picture.size, 97):
        path.write_bytes(clean)
        flip(path, place)
        with pytest.raises(QualityGate, match="image of 0003 is not the one that was written"):
            Samples(tmp_path, listed).picture(3)


def test_one_read_in_a_fixed_number_is_checked(tmp_path, listed):
    samples = Samples(tmp_path, listed, check_every=3)
    path = tmp_path / listed[0].name
    flip(path, next(one for one in tars.members(path) if one.name == "0001.jpg").offset)
    refused = 0
    for _ in range(9):
        try:
            samples.picture(1)
        except QualityGate:
            refused += 1
    assert refused == 3


def test_a_key_in_two_shards_is_refused_and_both_are_named(tmp_path):
    listed = write(tmp_path, [sample(1), sample(2)], [sample(2)])
    with pytest.raises(QualityGate, match=r"train-000001\.tar holds the key 0002.*000000\.tar"):
        Samples(tmp_path, listed)


def test_a_damaged_header_names_the_shard_and_the_byte(tmp_path, listed):
    path = tmp_path / listed[0].name
    third = tars.members(path)[4]
    flip(path, third.offset - 512 + 126)
    with pytest.raises(QualityGate, match=rf"train-000000\.tar .*byte {third.offset - 512:,}"):
        Samples(tmp_path, listed)


@pytest.mark.parametrize("parts", [{"json": b"{}"}, {"jpg": b"a", "png": b"b", "json": b"{}"}])
def test_a_sample_without_one_picture_is_refused(tmp_path, parts):
    with pytest.raises(QualityGate, match="of the key a"):
        Samples(tmp_path, write(tmp_path, [("a", parts)]))


@pytest.mark.parametrize("record", [b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_damaged_record_is_refused(tmp_path, record):
    samples = Samples(tmp_path, write(tmp_path, [("a", {"jpg": b"x", "json": record})]))
    with pytest.raises(QualityGate, match=r"a\.json is missing or not JSON"):
        samples.record(0)


def test_a_disk_that_cannot_be_read_ends_with_four_and_the_path(tmp_path, listed, capsys):
    """A folder in a file's place: the system's own error, as a failing disk gives one."""
    path = tmp_path / listed[0].name
    samples = Samples(tmp_path, listed)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match=str(path)):
        samples.picture(0)


def test_no_permission_ends_with_four(tmp_path, monkeypatch, capsys):
    def refused(args):
        raise PermissionError(13, "Permission denied", str(tmp_path / "x.tar"))

    monkeypatch.setitem(cli.STAGES, "sample", (refused, {}))
    assert cli.main(["sample"]) == 4
    assert f"{tmp_path / 'x.tar'}: permission denied" in capsys.readouterr().err
