"""Files and folders to write that cannot be written are refused before any model is read."""

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from pdm import cli
from pdm.inference.pictures.file_names import words_of


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The present folder: a picture, its mask, a file and a folder; no models."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30), (90, 120, 150)).save("photo.png")
    Image.new("L", (40, 30), 255).save("mask.png")
    Path("file").write_text("mine")
    Path("folder.png").mkdir()
    return tmp_path


def refusal(capsys, *words: str) -> str:
    assert cli.main(list(words)) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1, said
    return said


COMMANDS = (
    ("inpaint", "photo.png", "--mask", "mask.png"),
    ("upscale", "photo.png"),
    ("upscale", "photo.png", "--size", "200x150"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("folder.png", "folder.png is a folder, not a file to write; name another file"),
        ("file/new/a.png", "file is a file, not a folder to write into; name another file"),
        (f"{'a' * 240}.png", "has a name of more than"),
    ],
)
def test_a_picture_that_cannot_be_written(command, output, text, folder, capsys):
    assert text in refusal(capsys, *command, "--output", output)
    assert not list(folder.rglob(".*"))


@pytest.mark.parametrize("output", ["file", "file/new"])
def test_a_folder_of_drawings_in_the_place_of_a_file(output, folder, capsys):
    said = refusal(capsys, "draw", "--output", output)
    assert "file is a file, not a folder to write into; name another folder with --output" in said
    assert (folder / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(folder, capsys):
    Path("closed").mkdir(mode=0o500)
    for command, output in (("draw", "closed/new"), ("upscale", "closed/a.png")):
        words = [command, "photo.png"][: 1 + (command == "upscale")]
        said = refusal(capsys, *words, "--output", output)
        assert "closed is a folder that you may not write into" in said


def test_a_picture_whose_name_leaves_no_room_for_that_of_the_result(folder, capsys):
    name = f"{'a' * 240}.png"
    Path("photo.png").rename(name)
    assert "name another file with --output" in refusal(
        capsys, "upscale", name, "--size", "200x150"
    )
    assert "lacks a trained model" in refusal(
        capsys, "upscale", name, "--size", "200x150", "--output", "b.png"
    )


def test_the_name_of_a_drawing_fits_a_file_system_in_every_script():
    longest = words_of({"prompt": "𝔞" * 500})
    assert 100 < len(os.fsencode(f".part-{longest}-18432x18432-{2**62}.png-{'0' * 16}")) <= 255


def test_a_negative_prompt_without_a_prompt_is_not_ignored(folder, capsys):
    assert "--negative requires a prompt" in refusal(capsys, "draw", "--negative", "fog")


@pytest.mark.parametrize("fault", [errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG])
def test_a_path_that_is_not_what_it_has_to_be_is_one_line_in_every_command(fault, folder, capsys):
    words = {
        errno.EISDIR: ("preset", "tiny", "--output", "folder.png", "--force"),
        errno.ENOTDIR: ("preset", "tiny", "--output", "file/new/a.yaml"),
        errno.EEXIST: ("preset", "tiny", "--output", "file/a.yaml"),
        errno.ENAMETOOLONG: ("preset", "tiny", "--output", "a" * 300),
    }[fault]
    assert refusal(capsys, *words).startswith(f"error: {words[3][:4]}")
    assert Path("file").read_text() == "mine"
