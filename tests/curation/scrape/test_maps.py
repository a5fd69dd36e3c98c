"""Maps of classes, from a folder or a drawn landscape to the shards."""

import io
import logging
import struct
import zlib

import numpy as np
import pytest
import webdataset
from curation_pictures import CURATE, SHARD, jpeg, scene
from guard_settings import settings
from PIL import Image

from pdm.config.stages.scrape import BuiltinSource, FolderSource
from pdm.curation.curate import curate
from pdm.curation.scrape import scrape
from pdm.curation.scrape.drawing.kinds import FOREST, KINDS, SKY, SNOW, WATER
from pdm.curation.scrape.drawing.landscapes import draw, draw_with_map
from pdm.curation.scrape.drawing.scene import choose
from pdm.curation.scrape.maps import names_of_sources
from pdm.curation.scrape.sources.folders import entries_of_folder
from pdm.curation.shard import shard
from pdm.data.annotations.maps import UNKNOWN, decode_map
from pdm.data.shards import manifest
from pdm.data.shards.images import ImageShards
from pdm.data.verification.verify import verify
from pdm.errors import BadInput


def map_of(number: int, size=(320, 200)) -> Image.Image:
    """Columns of 20 pixels of three classes in turn, beginning with another for each picture."""
    row = (np.arange(size[0]) // 20 + number) % 3
    return Image.fromarray(np.broadcast_to(row, (size[1], size[0])).astype(np.uint8))


@pytest.fixture(scope="module")
def work(tmp_path_factory, ray_cluster):
    folder = tmp_path_factory.mktemp("maps")
    pictures, maps = folder / "pictures", folder / "maps"
    for place in (pictures, maps):
        place.mkdir()
    (maps / "classes.txt").write_text("sky\nsea\nland\n")
    for number in range(10):
        (pictures / f"{number}.jpg").write_bytes(jpeg(scene(number)))
        size = (321, 200) if number == 1 else (320, 200)
        image = map_of(number, size)
        if number == 2:
            image.putpixel((0, 0), 3)
        if number != 3:
            image.save(maps / f"{number}.png")
    source = FolderSource(kind="folder", path=str(pictures), maps=str(maps))
    scrape(settings(source, num_shards=1), raw=folder / "raw")
    curate(CURATE, raw=folder / "raw", decisions=folder / "decisions")
    names = {name: folder / name for name in ("raw", "decisions", "shards")}
    shard(SHARD, **names, report=folder / "report.html")
    return folder


def samples(work):
    for tar in sorted((work / "shards").glob("*.tar")):
        yield from webdataset.WebDataset(str(tar), shardshuffle=False)


def test_maps_are_cropped_with_their_pictures_to_the_nearest_pixel(work):
    assert manifest.load(work / "shards").facts["map_classes"] == ["sky", "sea", "land"]
    found = 0
    for split in ("train", "val"):
        images = ImageShards(work / "shards", split)
        for index in range(len(images)):
            record = images.record(index)
            number = int(record["url"].rsplit("/", 1)[1].split(".")[0])
            indices = images.class_map(index, 128, 256)
            if number == 3:
                assert (indices == UNKNOWN).all()
                continue
            crop = record["crop"]
            place = (np.arange(256) + 0.5) * crop["width_px"] / 256 + crop["left_px"]
            expected = (place.astype(int) // 20 + number) % 3
            assert (indices == expected).mean() > 0.97  # at a border one may round either way
            found += 1
    assert found == 7


def test_plain_webdataset_reads_the_maps_and_verification_accepts_them(work):
    for sample in samples(work):
        assert decode_map(sample["map.png"], ("sky", "sea", "land")).shape == (128, 256)
    assert "verified 8 images" in verify([work / "shards"])


def test_pictures_whose_map_does_not_fit_are_left_out_by_name(work, tmp_path, caplog):
    names = {"raw": work / "raw", "decisions": work / "decisions", "shards": tmp_path / "shards"}
    with caplog.at_level(logging.WARNING):
        shard(SHARD, **names, report=tmp_path / "report.html")
    assert "its map is 321x200, but the image, upright, is 320x200" in caplog.text
    assert "it has the index 3, but there are 3 classes, 0 to 2, and 255 for unknown" in caplog.text


def test_folders_of_maps_without_names_or_with_others_are_refused(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.jpg").write_bytes(jpeg(scene(0)))
    source = FolderSource(kind="folder", path=str(pictures), maps=str(tmp_path / "maps"))
    with pytest.raises(BadInput, match=r"classes.txt cannot be read"):
        names_of_sources([source])
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "classes.txt").write_text("sky\nsea\n")
    assert names_of_sources([source]) == ("sky", "sea")
    drawn = BuiltinSource(
        kind="builtin",
        num_landscapes=1,
        num_flawed_per_kind=0,
        width_px=64,
        height_px=32,
        seed=0,
        maps=True,
    )
    with pytest.raises(BadInput, match="need the same classes"):
        names_of_sources([source, drawn])
    inside = FolderSource(kind="folder", path=str(pictures), maps=str(pictures / "maps"))
    with pytest.raises(BadInput, match="would count as images"):
        entries_of_folder(inside)


@pytest.mark.parametrize("mode", ["RGB", "I;16", "RGBA"])
def test_an_image_with_colours_is_no_map(mode):
    buffer = io.BytesIO()
    Image.new(mode, (4, 4)).save(buffer, "PNG")
    with pytest.raises(ValueError, match="one channel of indices"):
        decode_map(buffer.getvalue(), ("sky",))


def png_of(rows, bits, colour_type) -> bytes:
    """A PNG written by hand: Pillow writes no grey of 2 or 4 bits."""
    lines = ("".join(f"{index:0{bits}b}" for index in row) for row in rows)
    packed = (int(line, 2).to_bytes(len(line) // 8) for line in lines)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", len(rows[0]), len(rows), bits, colour_type, 0, 0, 0),
        b"PLTE": bytes(3 * 2 ** min(bits, 4)),
        b"IDAT": zlib.compress(b"".join(b"\0" + line for line in packed)),
        b"IEND": b"",
    }
    if colour_type == 0:
        del parts[b"PLTE"]
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("colour_type", [0, 3], ids=["grey", "palette"])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_indices_are_those_of_the_file_whatever_its_bits(bits, colour_type):
    most = min(2**bits, 16) - 1
    rows = [[0, 1, 0, 1, most, 0, 1, most], [most, 0, 1, 1, 0, most, 0, 1]]
    names = [f"class {index}" for index in range(16)]
    assert decode_map(png_of(rows, bits, colour_type), names).tolist() == rows


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "AVIF"])
def test_only_a_png_is_a_map(kind):
    buffer = io.BytesIO()
    Image.new("L", (16, 16)).save(buffer, kind)
    for content in (buffer.getvalue(), buffer.getvalue()[:-20] + bytes(20), b""):
        with pytest.raises(ValueError, match="not a PNG"):
            decode_map(content, ("sky",))


def test_a_map_of_a_landscape_says_what_is_drawn_and_changes_nothing():
    found = {}
    for index in range(13):
        picture, kinds = draw_with_map(0, index, 256, 144)
        assert kinds.shape == (144, 256)
        assert kinds.max() < len(KINDS)
        found[choose(0, index).land] = [(kinds == kind).mean() for kind in range(len(KINDS))]
        if index == 4:
            assert (picture == draw(0, index, 256, 144)).all()
    assert min(shares[SKY] for shares in found.values()) > 0.02
    assert found["lake"][WATER] > 0.1
    assert found["dunes"][WATER] == found["dunes"][SNOW] == 0
    assert found["snow"][SNOW] > 0.2
    assert found["forest"][FOREST] > 0.1
