"""Every kind of damage to shards, done for real, and what the check says of it."""

import json
import shutil
import tarfile

import numpy as np
import pytest
from damaged_data import (
    damages,
    flip,
    member,
    picture,
    record,
    sample,
    write_manifest,
    write_shards,
)
from shared.folders import file_digests

from pdm import cli
from pdm.data.shards import listing, manifest, tars
from pdm.data.verification.verify import verify
from pdm.errors import BadInput
from pdm.files import sha256_of


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "shards")


def test_the_command_says_so_and_ends_with_zero(shards, capsys):
    assert cli.main(["data", "verify", str(shards)]) == 0
    assert capsys.readouterr().out.startswith("verified 6 images in 3 shards, ")


def test_checking_changes_nothing(shards):
    before = file_digests(shards)
    verify([shards])
    assert file_digests(shards) == before


# files


def test_damage_ends_with_three_and_one_line(shards, capsys):
    flip(shards / "val-000000.tar", 600)
    assert cli.main(["data", "verify", str(shards)]) == 3
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert "in 1 file;" in last


def test_a_flipped_byte_is_found_wherever_it_is(shards, caplog):
    tar = shards / "train-000001.tar"
    whole = tar.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 40):
        flip(tar, place)
        lines = damages(shards, caplog)
        assert lines[0].startswith("train-000001.tar: its sha256 is not the manifest's")
        assert lines[0].endswith("(to fix it, run: pyramid shard)")
        tar.write_bytes(whole)
    assert verify([shards])


def test_a_flipped_byte_in_a_picture_names_the_picture(shards, caplog):
    tar = shards / "train-000000.tar"
    flip(tar, member(tar, "b2.png").offset + 700)
    assert any("b2: its image is not the one" in line for line in damages(shards, caplog))


def test_every_flipped_byte_of_a_shard_is_found(shards, caplog):
    """One in seven bytes of it, headers, records, pictures and padding alike: all of them."""
    tar = shards / "train-000001.tar"
    whole = tar.read_bytes()
    listed = manifest.read(shards).splits["train"][1]
    for place in range(0, len(whole), 7):
        flip(tar, place, 1 << place % 8)
        assert sha256_of(tar) != listed.sha256
        tar.write_bytes(whole)


def test_pictures_cut_from_one_file_in_both_splits_are_damage(shards, caplog):
    samples = [sample("e5", "val", sha256="a1" * 32), sample("f6", "val")]
    tars.write_tar(shards / "val-000000.tar", samples)
    write_manifest(shards)
    (line,) = damages(shards, caplog)
    assert "val-000000.tar: e5: is cut from the same file as a1 of the split 'train'" in line


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(shards, caplog):
    tar = shards / "train-000000.tar"
    flip(tar, member(tar, "b2.png").offset - 512 + 150)
    write_manifest(shards)
    lines = damages(shards, caplog)
    assert any("no header at byte" in line for line in lines)
    assert any("holds 1 image, the manifest says 3" in line for line in lines)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_shard_cut_short_is_found(shards, caplog, share):
    tar = shards / "train-000000.tar"
    tar.write_bytes(tar.read_bytes()[: int(share * tar.stat().st_size)])
    assert "bytes, the manifest says" in damages(shards, caplog)[0]


def test_all_damage_is_listed_not_the_first(shards, caplog):
    (shards / "train-000000.tar").unlink()
    flip(shards / "train-000001.tar", 700)
    (shards / "val-000000.tar").write_bytes(b"")
    named = {line.split(":")[0] for line in damages(shards, caplog)}
    assert named == {"train-000000.tar", "train-000001.tar", "val-000000.tar"}


def test_a_missing_shard_is_damage_and_an_unlisted_one_a_warning(shards, caplog):
    shutil.copy(shards / "val-000000.tar", shards / "val-000007.tar")
    assert verify([shards])
    assert "val-000007.tar is not in the manifest" in caplog.text
    (shards / "val-000000.tar").unlink()
    assert damages(shards, caplog)[0].startswith("val-000000.tar: missing")


def test_a_changed_or_missing_list_of_pictures_is_damage(shards, caplog):
    """Takedowns trust it."""
    listing.write(shards, [listing.Listed("a1", "f" * 64, "train")])
    digest = sha256_of(shards / listing.FILE_NAME)
    found = manifest.read(shards)
    manifest.Manifest(found.splits, found.facts | {"pictures_sha256": digest}).save(shards)
    assert verify([shards])
    flip(shards / listing.FILE_NAME, 3)
    assert damages(shards, caplog)[0].startswith("pictures.txt: its sha256 is not")
    (shards / listing.FILE_NAME).unlink()
    assert damages(shards, caplog)[0].startswith("pictures.txt: is missing")


def test_without_a_manifest_nothing_is_guessed(shards, tmp_path):
    (shards / manifest.FILE_NAME).unlink()
    with pytest.raises(BadInput, match="run the stage that writes it again"):
        verify([shards])
    with pytest.raises(BadInput, match="is not a folder"):
        verify([tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["../elsewhere.tar", "/etc/passwd", "..", "", "a/b.tar"])
def test_a_manifest_that_names_files_elsewhere_is_refused(shards, name):
    record = json.loads((shards / manifest.FILE_NAME).read_text())
    record["splits"]["val"][0]["name"] = name
    (shards / manifest.FILE_NAME).write_text(json.dumps(record))
    with pytest.raises(BadInput, match="not the name of a file in the folder"):
        verify([shards])


# samples


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        ([sample("e5", "val"), sample("a1", "val")], "a1: its key is already in train-000000.tar"),
        ([sample("f6", "val"), sample("e5", "val")], "e5: is out of order, it follows f6"),
        ([sample("E5", "val"), sample("f6", "val")], "E5.png: is not named `key.extension`"),
        ([sample("e5", "val"), ("f6", {"png": picture(1)})], "f6: has no .json"),
        ([sample("e5", "val"), ("f6", {"json": record("f6", "val")})], "f6: has 0 images"),
        ([sample("e5", "val"), ("f6", {"png": picture(1), "json": b"{"})], "f6.json: is not a"),
        ([sample("e5", "val"), ("f6", {"png": picture(1), "json": b"{}"})], "f6.json: lacks"),
        ([sample("e5", "val"), sample("f6", "val", width_px=33)], "f6.json: says 33 x 16 pixels"),
        ([sample("e5", "val"), sample("f6", "train")], "f6.json: says key 'f6' of the split"),
        (
            [sample("e5", "val"), ("f6", {"png": picture(1, 40), "json": record("f6", "val")})],
            "f6.png: is 40 x 16 pixels, the manifest says 32 x 16",
        ),
        (
            [sample("e5", "val"), ("f6", {"png": b"no image", "json": record("f6", "val")})],
            "f6.png: does not decode",
        ),
    ],
)
def test_a_bad_sample_is_named_though_its_shard_is_the_listed_one(shards, caplog, samples, fault):
    tars.write_tar(shards / "val-000000.tar", samples)
    write_manifest(shards)
    lines = damages(shards, caplog)
    assert any(line.startswith(f"val-000000.tar: {fault}") for line in lines), lines


def hostile(name, kind=tarfile.REGTYPE, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, "/etc/passwd"
    return info


@pytest.mark.parametrize(
    ("info", "fault"),
    [
        (hostile("../escaped.png"), "is not the plain name of a file"),
        (hostile("/absolute.png"), "is not the plain name of a file"),
        (hostile("a\\b.png"), "is not the plain name of a file"),
        (hostile("link.png", tarfile.SYMTYPE), "is a symbolic link"),
        (hostile("link.png", tarfile.LNKTYPE), "is a link"),
        (hostile("device.png", tarfile.CHRTYPE), "is a device"),
        (hostile("pipe.png", tarfile.FIFOTYPE), "is a pipe"),
        (hostile("huge.png", size=10 * 2**30), "announces 10,737,418,240 bytes, more than"),
        (hostile("x" * 150 + ".png"), "no shard may hold"),
    ],
)
def test_a_hostile_member_is_refused_by_its_header(shards, caplog, info, fault):
    content = info.tobuf(tarfile.GNU_FORMAT) + (shards / "val-000000.tar").read_bytes()
    (shards / "val-000000.tar").write_bytes(content)
    write_manifest(shards)
    assert any(fault in line for line in damages(shards, caplog))
    assert sorted(path.name for path in shards.parent.iterdir()) == ["shards"]
