"""`curate.content`: pictures are kept by examples, or by words for a network of the user's."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from curation_pictures import CURATE, but, jpeg, key_of, scene, write_raw
from PIL import Image
from torch import nn

from pdm.config.stages.curate import ContentConfig, ContentModelConfig
from pdm.curation.curate import curate
from pdm.curation.curate.content.clip_tokenizer import ClipTokenizer
from pdm.curation.curate.content.likeness import load_likeness, score_likeness
from pdm.curation.curate.explain import explain
from pdm.curation.curate.judge import measure_file
from pdm.curation.scrape.drawing.landscapes import draw
from pdm.data.decisions import load
from pdm.errors import BadInput, Unavailable
from pdm.files import sha256_of

NUM_EXAMPLES = 10
MERGES = "#version: 0.2\nr e\nre d</w>\ng r\nb l\nbl u\nblu e</w>\n"


def landscape(number):
    return Image.fromarray(draw(0, number, 320, 200))


def tinted(number, channel):
    """A scene in which one of red, green and blue is by far the brightest."""
    pixels = np.asarray(scene(number)).astype(np.float64)
    pixels *= np.where(np.arange(3) == channel, 1.2, 0.3)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_files(folder, images):
    folder.mkdir()
    for number, image in enumerate(images):
        (folder / f"{number}.jpg").write_bytes(jpeg(image))
    return str(folder)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Landscapes are wanted, polygons are not."""
    root = tmp_path_factory.mktemp("examples")
    return {
        "like": write_files(root / "like", map(landscape, range(NUM_EXAMPLES))),
        "unlike": write_files(root / "unlike", map(scene, range(60, 60 + NUM_EXAMPLES))),
    }


class ByColour(nn.Module):
    """A stand-in for CLIP: an image is its mean colour, a text the colours that it names."""

    def __init__(self):
        super().__init__()
        self.image_px, self.num_tokens = 16, 8
        tokens = ClipTokenizer(MERGES)
        table = torch.full((tokens.end + 1, 3), 1e-3)
        for colour, word in enumerate(("red", "green", "blue")):
            for number in tokens(word)[1:-1]:
                table[number] = 0
                table[number, colour] = 1
        self.register_buffer("table", table)

    @torch.jit.export
    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=[2, 3])

    @torch.jit.export
    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.table[tokens].sum(dim=1)


def write_network(path, module=None, merges=MERGES):
    scripted = torch.jit.script(module or ByColour())
    torch.jit.save(scripted, str(path), _extra_files={"merges.txt": merges})
    return ContentModelConfig(path=str(path), sha256=sha256_of(path))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("model") / "towers.pt")


def asking(**content):
    return but(CURATE, content=ContentConfig(**{"min_likeness": 0.5} | content))


def reasons(folder):
    return {row["url"].rsplit("/")[-1]: row["reason"] for row in load(folder)}


# by examples


def test_images_like_the_examples_are_kept_and_explained(tmp_path, folders, ray_cluster):
    wanted = {f"land-{n}": jpeg(landscape(20 + n)) for n in range(6)}
    others = {f"polygons-{n}": jpeg(scene(n)) for n in range(6)}
    write_raw(tmp_path / "raw", wanted | others)
    paths = {"raw": tmp_path / "raw", "decisions": tmp_path / "out", "cache": tmp_path / "cache"}
    curate(asking(**folders), **paths)

    expected = dict.fromkeys(wanted) | dict.fromkeys(others, "other_content")
    assert reasons(tmp_path / "out") == expected | {"missing": "http_404"}
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    counts = {"like": 10, "like_kept": 10, "unlike": 10, "unlike_kept": 0}
    assert summary["examples"] == counts
    said = explain(key_of("polygons-1"), decisions=tmp_path / "out", shards=tmp_path / "none")
    assert "Likeness to what is wanted 0." in said
    assert "content.min_likeness 0.5: OUTSIDE by" in said

    # The other way round, no picture is looked at again: their bytes are gone.
    for tar in (tmp_path / "raw").glob("*.tar"):
        tar.write_bytes(bytes(tar.stat().st_size))
    curate(asking(like=folders["unlike"], unlike=folders["like"]), **paths)
    assert set(reasons(tmp_path / "out").values()) == {None, "other_content", "http_404"}
    assert reasons(tmp_path / "out")["land-0"] == "other_content"


def test_a_picture_without_a_score_is_not_dropped_for_it(folders):
    config = asking(**folders)
    small = measure_file(jpeg(scene(1, 100, 40)), config)
    assert small["embedding"] is None
    assert score_likeness({"small": small}, load_likeness(config, None)) == {}


def test_an_example_that_is_not_an_image_is_reported_and_left_out(tmp_path, folders, caplog):
    like = write_files(tmp_path / "like", map(landscape, range(8)))
    (tmp_path / "like" / "notes.txt").write_text("remember the milk")
    (tmp_path / "like" / ".DS_Store").write_bytes(b"hidden")
    caplog.set_level(logging.INFO)
    found = load_likeness(asking(like=like, unlike=folders["unlike"]), None)
    assert found.facts["like"] == 8
    assert "curate.content.like: not used: notes.txt (The file cannot be decoded" in caplog.text
    assert "DS_Store" not in caplog.text
    assert "8 of 8 examples in like and 0 of 10 in unlike are kept" in caplog.text


def test_an_unusable_folder_is_refused_by_name(tmp_path, folders):
    with pytest.raises(BadInput, match=r"content.like: .*none is not a folder; put example images"):
        load_likeness(asking(like=str(tmp_path / "none"), unlike=folders["unlike"]), None)
    few = write_files(tmp_path / "few", map(landscape, range(3)))
    with pytest.raises(BadInput, match=r"content.unlike: .*few has 3 usable images; at least 8"):
        load_likeness(asking(like=folders["like"], unlike=few), None)
    with pytest.raises(BadInput, match=r"0\.jpg; .*: the same image is also in the folder unlike"):
        load_likeness(asking(like=folders["like"], unlike=folders["like"]), None)


# by words


def test_images_that_words_describe_are_kept(tmp_path, model, ray_cluster, monkeypatch):
    monkeypatch.chdir(Path(model.path).parent)  # as where params.yaml is, with a path from there
    model = ContentModelConfig(path=Path(model.path).name, sha256=model.sha256)
    files = {f"{name}-{n}": jpeg(tinted(n, c)) for c, name in enumerate("rgb") for n in range(2)}
    write_raw(tmp_path / "raw", files)
    config = asking(model=model, words=("red", "a blue one"), not_words=("green",))
    curate(config, raw=tmp_path / "raw", decisions=tmp_path / "out")
    expected = {name: "other_content" if name[0] == "g" else None for name in files}
    assert reasons(tmp_path / "out") == expected | {"missing": "http_404"}


def test_examples_can_be_compared_by_the_users_network_too(tmp_path, model):
    like = write_files(tmp_path / "like", [tinted(n, 0) for n in range(8)])
    unlike = write_files(tmp_path / "unlike", [tinted(n, 2) for n in range(8)])
    config = asking(model=model, like=like, unlike=unlike)
    found = load_likeness(config, None)
    rows = {
        name: measure_file(jpeg(tinted(30, c)), config) for c, name in ((0, "red"), (2, "blue"))
    }
    scores = score_likeness(rows, found)
    assert scores["red"] > 0.9 > 0.1 > scores["blue"]


def test_a_network_with_another_digest_is_refused(tmp_path, model):
    asked = {"words": ("red",), "not_words": ("blue",)}
    other = ContentModelConfig(path=model.path, sha256="0" * 64)
    with pytest.raises(BadInput, match=r"has sha256 .* says 0000"):
        load_likeness(asking(model=other, **asked), None)
    gone = ContentModelConfig(path=str(tmp_path / "gone.pt"), sha256="0" * 64)
    with pytest.raises(Unavailable, match=r"gone.pt .*does not exist"):
        load_likeness(asking(model=gone, **asked), None)


class OnlyImages(nn.Module):
    def __init__(self):
        super().__init__()
        self.image_px, self.num_tokens = 8, 8

    @torch.jit.export
    def encode_image(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=[2, 3])


@pytest.mark.parametrize("what", ["no archive", "no text tower", "no merges"])
def test_a_file_without_such_a_network_is_refused(what, tmp_path):
    path = tmp_path / "towers.pt"
    if what == "no archive":
        path.write_bytes(b"PK\3\4 and nothing more")
        model = ContentModelConfig(path=str(path), sha256=sha256_of(path))
    elif what == "no text tower":
        model = write_network(path, OnlyImages())
    else:
        model = write_network(path, merges="a picture of nothing at all")
    config = asking(model=model, words=("red",), not_words=("blue",))
    with pytest.raises(BadInput, match=r"towers.pt cannot be used for images and texts"):
        load_likeness(config, None)


# params


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({}, "like: expected a folder, or else words"),
        ({"like": "a", "unlike": "b", "words": ["c"], "not_words": ["d"]}, "not both"),
        ({"like": "a"}, "unlike: expected a value beside like, got null"),
        ({"unlike": "b", "words": ["c"], "not_words": ["d"]}, "unlike: expected none without like"),
        ({"words": ["c"], "not_words": ["d"]}, "model: expected a network in a file"),
        ({"words": [], "not_words": ["d"]}, "words: expected at least one text"),
        ({"like": "a", "unlike": "b", "min_likeness": 2.0}, "min_likeness"),
    ],
)
def test_settings_that_ask_for_nothing_or_for_too_much_are_refused(content, named):
    with pytest.raises(ValueError, match=named):
        asking(**content)


# CLIP's tokens


def test_tokens_are_merged_in_the_order_of_the_list():
    tokens = ClipTokenizer(MERGES)
    start, end = tokens.start, tokens.end
    red, blue = 512 + 1, 512 + 5  # after 256 letters and 256 that end a word
    assert tokens("  Red\tBLUE ") == [start, red, blue, end]
    assert tokens("re") == [start, tokens("r")[1] - 256, tokens("e")[1], end]
    assert end == 512 + 6 + 1
