import pytest

from pdm.config.scrape import FolderSource
from pdm.curation.scrape.formats import extension_of
from pdm.curation.scrape.sources.folders import entries_of_folder
from pdm.errors import BadInput

JPEG = b"\xff\xd8\xff\xe0 picture"


def listed(path, licence=None):
    return entries_of_folder(FolderSource(kind="folder", path=str(path), licence=licence))


@pytest.fixture
def pictures(tmp_path):
    root = tmp_path / "pictures"
    (root / "sub").mkdir(parents=True)
    (root / "b.jpg").write_bytes(JPEG)
    (root / "sub" / "without extension").write_bytes(JPEG)
    (root / "sub" / "broken.png").write_bytes(b"")
    (root / "COPYRIGHT").write_text("all mine")
    return root


def test_every_file_has_an_outcome_and_none_vanishes(pictures):
    found = {e.url: (e.outcome.status, e.outcome.reason) for e in listed(pictures)}
    assert found == {
        "pictures/COPYRIGHT": ("dropped", "not_image"),
        "pictures/b.jpg": ("ok", None),
        "pictures/sub/broken.png": ("ok", None),  # its name says picture: curation judges it
        "pictures/sub/without extension": ("ok", None),
    }


def test_the_licence_is_that_of_the_source(pictures):
    assert {entry.licence for entry in listed(pictures, licence="CC0-1.0")} == {"CC0-1.0"}


def test_the_class_is_the_folder_next_below_the_source(pictures):
    (pictures / "sub" / "deeper").mkdir()
    (pictures / "sub" / "deeper" / "c.jpg").write_bytes(JPEG)
    found = {entry.url.rpartition("/")[2]: entry.class_name for entry in listed(pictures)}
    assert found == {
        "COPYRIGHT": None,
        "b.jpg": None,
        "broken.png": "sub",
        "without extension": "sub",
        "c.jpg": "sub",
    }


def test_rows_do_not_tell_where_the_folder_lies(pictures, tmp_path):
    assert all(str(tmp_path) not in entry.url + entry.identity for entry in listed(pictures))


def test_links_out_of_the_folder_are_dropped_and_not_followed(pictures, tmp_path):
    secret = tmp_path / "elsewhere"
    secret.mkdir()
    (secret / "private.jpg").write_bytes(JPEG)
    (pictures / "link.jpg").symlink_to(secret / "private.jpg")
    (pictures / "linked").symlink_to(secret)
    (pictures / "loop").symlink_to(pictures)
    (pictures / "inside.jpg").symlink_to(pictures / "b.jpg")
    (pictures / "nowhere.jpg").symlink_to(pictures / "absent.jpg")
    found = {entry.url: entry.outcome.reason for entry in listed(pictures)}
    assert found["pictures/link.jpg"] == "outside_folder"
    assert found["pictures/linked"] == "outside_folder"
    assert found["pictures/loop"] == "not_image"
    assert found["pictures/nowhere.jpg"] == "not_image"
    assert found["pictures/inside.jpg"] is None
    assert not any("private" in url for url in found)


def test_a_missing_folder_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="no such folder"):
        listed(tmp_path / "absent")


def test_a_folder_without_files_is_bad_input(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(BadInput, match="holds no files"):
        listed(tmp_path)


@pytest.mark.parametrize(
    ("head", "extension"),
    [
        (b"\xff\xd8\xff\xe1", "jpg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0WAVEfmt ", "bin"),
        (b"GIF89a", "gif"),
        (b"II*\0\x08", "tif"),
        (b"MM\0*\0", "tif"),
        (b"BM\x10", "bmp"),
        (b"\0\0\0\x1cftypavif", "avif"),
        (b"\0\0\0\x18ftypheic", "heic"),
        (b"\0\0\0\x18ftypmp42", "bin"),
        (b"\xff\x0a\x10", "jxl"),
        (b"<!DOCTYPE html>", "bin"),
        (b"", "bin"),
    ],
)
def test_formats_are_told_by_their_first_bytes(head, extension):
    assert extension_of(head) == extension
