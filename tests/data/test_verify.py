"""Every kind of damage, done for real, and what the check says of it."""

import hashlib
import io
import json
import shutil
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pdm import cli
from pdm.data.shards import latent_file, listing, manifest, tars
from pdm.data.verification.verify import verify
from pdm.errors import BadInput, QualityGate
from pdm.files import sha256_of

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


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    for stem, keys in SPLITS.items():
        split = stem.split("-")[0]
        tars.write_tar(folder / f"{stem}.tar", [sample(key, split) for key in keys])
    write_manifest(folder)
    return folder


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw"
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


@pytest.fixture
def encoded(tmp_path):
    folder = tmp_path / "latents"
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


# clean data


def test_clean_data_is_counted(shards, raw, encoded):
    said = verify([shards, raw, encoded])
    assert said.startswith("verified 6 pictures in 3 shards, ")
    assert "2 raw pictures in 1 shards" in said
    assert "2 latents in 1 shards" in said


def test_the_command_says_so_and_ends_with_zero(shards, capsys):
    assert cli.main(["data", "verify", str(shards)]) == 0
    assert capsys.readouterr().out.startswith("verified 6 pictures in 3 shards, ")


def test_checking_changes_nothing(shards):
    before = {path.name: path.read_bytes() for path in shards.iterdir()}
    verify([shards])
    assert {path.name: path.read_bytes() for path in shards.iterdir()} == before


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
    assert any("b2: its picture is not the one" in line for line in damages(shards, caplog))


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
    assert any("holds 1 pictures, the manifest says 3" in line for line in lines)


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
    with pytest.raises(BadInput, match="is no folder"):
        verify([tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["../elsewhere.tar", "/etc/passwd", "..", "", "a/b.tar"])
def test_a_manifest_that_names_files_elsewhere_is_refused(shards, name):
    record = json.loads((shards / manifest.FILE_NAME).read_text())
    record["splits"]["val"][0]["name"] = name
    (shards / manifest.FILE_NAME).write_text(json.dumps(record))
    with pytest.raises(BadInput, match="no name of a file in the folder"):
        verify([shards])


# samples


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        ([sample("e5", "val"), sample("a1", "val")], "a1: its key is already in train-000000.tar"),
        ([sample("f6", "val"), sample("e5", "val")], "e5: is out of order, it follows f6"),
        ([sample("E5", "val"), sample("f6", "val")], "E5.png: is not named `key.extension`"),
        ([sample("e5", "val"), ("f6", {"png": picture(1)})], "f6: has no .json"),
        ([sample("e5", "val"), ("f6", {"json": record("f6", "val")})], "f6: has 0 pictures"),
        ([sample("e5", "val"), ("f6", {"png": picture(1), "json": b"{"})], "f6.json: is no record"),
        ([sample("e5", "val"), ("f6", {"png": picture(1), "json": b"{}"})], "f6.json: lacks"),
        ([sample("e5", "val"), sample("f6", "val", width_px=33)], "f6.json: says 33 x 16 pixels"),
        ([sample("e5", "val"), sample("f6", "train")], "f6.json: says key 'f6' of the split"),
        (
            [sample("e5", "val"), ("f6", {"png": picture(1, 40), "json": record("f6", "val")})],
            "f6.png: is 40 x 16 pixels, the manifest says 32 x 16",
        ),
        (
            [sample("e5", "val"), ("f6", {"png": b"no picture", "json": record("f6", "val")})],
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
        (hostile("../escaped.png"), "is no plain name of a file"),
        (hostile("/absolute.png"), "is no plain name of a file"),
        (hostile("a\\b.png"), "is no plain name of a file"),
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


# raw data


def test_a_flipped_byte_in_a_fetched_file_names_it(raw, caplog):
    flip(raw / "00000.tar", member(raw / "00000.tar", "b2.png").offset + 5)
    (line,) = damages(raw, caplog)
    assert line.startswith("00000.tar: b2.png: its sha256 is not that of the bytes")
    assert line.endswith("(to fix it, run: pyramid scrape)")


@pytest.mark.parametrize("name", ["00000.tar", "00000.parquet"])
def test_half_a_pair_is_damage(raw, caplog, name):
    for file in ("00000.tar", "00000.parquet"):
        shutil.copy(raw / file, raw / file.replace("0.", "1."))
    (raw / name).unlink()
    assert any(line.startswith(f"{name}: missing beside") for line in damages(raw, caplog))


def test_a_tar_and_a_table_that_do_not_belong_together_are_damage(raw, caplog):
    samples = [(key, {"png": picture(9)}) for key in ("a1", "z9")]
    tars.write_tar(raw / "00000.tar", samples)
    text = "\n".join(damages(raw, caplog))
    assert "z9.png: is in no row of 00000.parquet" in text
    assert "b2.png: " in text


def test_an_unreadable_table_is_damage(raw, caplog):
    (raw / "00000.parquet").write_bytes(b"PAR1 no PAR1")
    assert any("00000.parquet: cannot be read" in line for line in damages(raw, caplog))


# latents


def test_a_flipped_byte_in_latents_is_found(encoded, caplog):
    flip(encoded / "train-000000.safetensors", -3)
    (line,) = damages(encoded, caplog)
    assert line.endswith("(to fix it, run: pyramid latents)")


def test_latents_of_other_shapes_or_twice_the_same_key_are_damage(encoded, caplog):
    pyramid = (torch.ones(2, 3, 1, 1), torch.ones(2, 1, 2, 5))
    listed = latent_file.write_shard(encoded / "train-000000.safetensors", ["a1", "a1"], pyramid)
    facts = {"level_shapes": [[3, 1, 1], [1, 2, 4]]}
    manifest.Manifest({"train": [listed]}, facts).save(encoded)
    lines = damages(encoded, caplog)
    assert any("(2, 1, 2, 5)" in line for line in lines)
    assert any("a1: is already in train-000000.safetensors" in line for line in lines)


@pytest.mark.parametrize(
    ("classes", "line"),
    [
        (["cat", "dog"], "b2: has the class 'dog', which is not listed"),
        (["cat"], "has 1 classes for 2 keys"),
    ],
)
def test_classes_that_the_manifest_does_not_know_are_damage(encoded, caplog, classes, line):
    rewritten(encoded, classes)
    (found,) = damages(encoded, caplog)
    assert line in found


def test_known_and_missing_classes_are_not_damage(encoded):
    rewritten(encoded, ["cat", None])
    assert "2 latents" in verify([encoded])


def rewritten(encoded, classes):
    pyramid = (torch.ones(2, 3, 1, 1), torch.ones(2, 1, 2, 4))
    shard = encoded / "train-000000.safetensors"
    listed = latent_file.write_shard(shard, ["a1", "b2"], pyramid, classes)
    facts = {"level_shapes": [[3, 1, 1], [1, 2, 4]], "classes": ["cat"]}
    manifest.Manifest({"train": [listed]}, facts).save(encoded)


def test_latents_of_other_shards_are_a_warning(encoded, shards, caplog):
    record = json.loads((encoded / manifest.FILE_NAME).read_text())
    record["facts"]["shards_sha256"] = "0" * 64
    (encoded / manifest.FILE_NAME).write_text(json.dumps(record))
    assert verify([encoded])
    assert "made from another version" in caplog.text
