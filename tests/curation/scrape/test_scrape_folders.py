import json
import os
import unicodedata

import pytest
from guard_settings import settings

from pdm.config.stages.scrape import FolderSource
from pdm.curation.class_counts import describe_classes
from pdm.curation.scrape import scrape
from pdm.curation.scrape.formats import extension_of
from pdm.curation.scrape.sources.folders import entries_of_folder
from pdm.errors import BadInput, Unavailable
from pdm.files import sole_writer

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


def test_every_file_has_an_outcome(pictures):
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


def test_letters_that_a_mac_takes_apart_make_no_other_class(tmp_path):
    for number, form in enumerate(("NFC", "NFD")):
        folder = tmp_path / unicodedata.normalize(form, "Café")
        folder.mkdir()
        (folder / f"{number}.jpg").write_bytes(JPEG)
    assert [entry.class_name for entry in listed(tmp_path)] == ["Caf\xe9", "Caf\xe9"]


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
    (tmp_path / "urls.txt").touch()
    with pytest.raises(BadInput, match=r"urls\.txt is not a folder"):
        listed(tmp_path / "urls.txt")


def test_a_folder_without_files_is_bad_input(tmp_path):
    (tmp_path / "sub").mkdir()
    with pytest.raises(BadInput, match="has no files"):
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
def test_formats_are_recognised_by_their_first_bytes(head, extension):
    assert extension_of(head) == extension


HIDDEN_FOLDERS = [
    ".ipynb_checkpoints",
    "__MACOSX",
    "@eaDir",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "#recycle",
    ".git",
]
HIDDEN_FILES = ["._a.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r", ".a.jpg.part"]


def test_what_systems_leave_behind_is_passed_over_with_a_row_and_is_no_class(tmp_path):
    for name in ["sea", "dunes", *HIDDEN_FOLDERS]:
        (tmp_path / name / "deeper").mkdir(parents=True)
        (tmp_path / name / "a.jpg").write_bytes(JPEG)
        (tmp_path / name / "deeper" / "b.jpg").write_bytes(JPEG)
    for name in HIDDEN_FILES:
        (tmp_path / name).write_bytes(JPEG)
        (tmp_path / "sea" / name).write_bytes(JPEG)
    (tmp_path / "sea" / ".thumbnails").mkdir()
    found = {entry.url.partition("/")[2]: entry for entry in listed(tmp_path)}
    hidden = {url for url, entry in found.items() if entry.outcome.reason == "hidden"}
    assert hidden == {
        *(f"{name}/" for name in HIDDEN_FOLDERS),
        *HIDDEN_FILES,
        *(f"sea/{name}" for name in HIDDEN_FILES),
        "sea/.thumbnails/",
    }
    assert all(found[url].outcome.status == "dropped" for url in hidden)
    assert found["__MACOSX/"].outcome.error_message == "a hidden folder with 2 files"
    kept = {url: entry.class_name for url, entry in found.items() if url not in hidden}
    assert kept == {
        "sea/a.jpg": "sea",
        "sea/deeper/b.jpg": "sea",
        "dunes/a.jpg": "dunes",
        "dunes/deeper/b.jpg": "dunes",
    }


def test_a_hidden_folder_may_be_a_source_itself(tmp_path):
    (tmp_path / ".pictures").mkdir()
    (tmp_path / ".pictures" / "a.jpg").write_bytes(JPEG)
    assert [entry.outcome.status for entry in listed(tmp_path / ".pictures")] == ["ok"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_a_folder_that_cannot_be_listed_is_a_failure_and_does_not_vanish(pictures):
    (pictures / "sub").chmod(0)
    found = {entry.url: entry.outcome for entry in listed(pictures)}
    (pictures / "sub").chmod(0o700)
    assert (found["pictures/sub/"].status, found["pictures/sub/"].reason) == (
        "failed",
        "unreadable_file",
    )


def test_the_last_line_of_the_stage_names_the_classes(tmp_path, caplog):
    for name in ("sea/1.jpg", "sea/2.jpg", "dunes/1.jpg", "1.jpg", ".hidden/1.jpg", "sea/x.txt"):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if path.suffix == ".txt" else JPEG)
    caplog.set_level("INFO")
    source = FolderSource(kind="folder", path=str(tmp_path / "pictures"))
    scrape(settings(source), raw=tmp_path / "raw")
    assert caplog.messages[-1] == (
        "scrape: 6 URLs and files: 4 ok, 0 failed, 2 dropped (hidden 1, not_image 1); "
        "2 classes: dunes 1, sea 2, 1 without a class"
    )
    assert json.loads((tmp_path / "raw" / "summary.json").read_text())["class"] == {
        "dunes": 1,
        "sea": 2,
    }


def test_many_classes_and_names_for_terminals_stay_one_short_line():
    counts = {f"class {number:04}": 1 for number in range(1000)} | {"\x1b[2J": 5}
    text = describe_classes(counts)
    assert text.startswith("1,001 classes: ?[2J 5, class 0000 1, ")
    assert text.endswith(", ...")
    assert len(text) < 400
    assert describe_classes({None: 5}) == describe_classes({}) == ""


def test_a_second_run_leaves_alone_what_the_first_has_fetched(tmp_path, pictures):
    raw, fetched = tmp_path / "raw", tmp_path / ".tmp-fetch-raw" / "picture.jpg"
    fetched.parent.mkdir()
    fetched.write_bytes(b"of the first run")
    source = FolderSource(kind="folder", path=str(pictures))
    with sole_writer(raw), pytest.raises(Unavailable, match="is being written by process"):
        scrape(settings(source), raw=raw)
    assert fetched.exists()
    scrape(settings(source, max_failed_share=1.0), raw=raw)
    assert not fetched.parent.exists()
