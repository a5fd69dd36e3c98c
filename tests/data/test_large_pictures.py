"""Pictures written row by row: the same pixels as read by others, with the memory of a band."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pdm.data import provenance
from pdm.data.large_pictures.png import write_png
from pdm.data.large_pictures.rows import cut_rows
from pdm.data.large_pictures.write import check_ending, write_picture
from pdm.errors import BadInput
from pdm.inference.pictures.file_names import choose_path

FACTS = {"command": "draw", "seed": 3, "prompt": "häuser – am See"}


def landscape(height: int, width: int) -> np.ndarray:
    rough = np.random.default_rng(height).integers(0, 256, (7, 9, 3), np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


def bands_of(picture: np.ndarray, rows: int):
    return (picture[top : top + rows] for top in range(0, len(picture), rows))


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("rows", [1, 50, 64, 500])
@pytest.mark.parametrize("size", [(1, 1), (200, 3), (131, 257)])
def test_others_read_the_same_pixels_and_the_provenance(ending, rows, size, tmp_path):
    path, picture = tmp_path / f"picture.{ending}", landscape(*size)
    digest = write_picture(path, size, bands_of(picture, rows), FACTS)
    with Image.open(path) as file:
        assert file.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(file), picture)
    if ending == "tif":
        np.testing.assert_array_equal(tifffile.imread(path), picture)
    assert provenance.read(path) == (FACTS, digest)
    assert digest == provenance.pixels_sha256(picture)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


@given(arrays.arrays(np.uint8, st.tuples(st.integers(1, 70), st.integers(1, 9), st.just(3))))
@settings(max_examples=60, deadline=None)
def test_any_pixels_survive_a_png(tmp_path_factory, picture):
    path = tmp_path_factory.mktemp("png") / "picture.png"
    write_png(path, picture.shape[:2], bands_of(picture, 33), {})
    with Image.open(path) as file:
        np.testing.assert_array_equal(np.asarray(file), picture)


def test_a_png_is_about_as_small_as_pillows(tmp_path):
    picture = landscape(300, 400)
    write_png(tmp_path / "ours.png", (300, 400), [picture], {})
    Image.fromarray(picture).save(tmp_path / "theirs.png")
    ours, theirs = ((tmp_path / f"{name}.png").stat().st_size for name in ("ours", "theirs"))
    assert ours < 1.1 * theirs


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.integers(1, 40))
def test_bands_of_any_heights_become_bands_of_one_height(heights, rows):
    picture = np.arange(sum(heights) * 3, dtype=np.int64).astype(np.uint8).reshape(-1, 1, 3)
    ends = np.cumsum(heights)
    cut = list(
        cut_rows((picture[end - n : end] for n, end in zip(heights, ends, strict=True)), rows)
    )
    assert all(len(each) == rows for each in cut[:-1])
    assert 0 < len(cut[-1]) <= rows
    np.testing.assert_array_equal(np.concatenate(cut), picture)


def test_a_failure_on_the_way_leaves_no_file(tmp_path):
    def broken():
        yield landscape(10, 20)
        raise RuntimeError("out of ideas")

    with pytest.raises(RuntimeError, match="out of ideas"):
        write_picture(tmp_path / "picture.png", (20, 20), broken(), {})
    assert not list(tmp_path.iterdir())


def test_other_formats_are_refused():
    check_ending(Path("a.TIF"))
    with pytest.raises(BadInput, match=r"a\.jpg must end in \.png, \.tif or \.tiff"):
        check_ending(Path("a.jpg"))


MEASURE = """
import resource, sys
from pathlib import Path
import numpy as np
from pdm.data.large_pictures.write import write_picture
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
side = 18432
band = np.repeat(np.arange(side, dtype=np.uint32)[None, :, None] // 70, 3, 2).astype(np.uint8)
band = np.repeat(band, 64, 0)
write_picture(Path(sys.argv[1]), (64, side), [band], {})
before = peak()
rows = int(sys.argv[2])
write_picture(Path(sys.argv[1]), (rows, side), (band for _ in range(rows // 64)), {})
print(peak() - before)
"""


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_memory_is_that_of_a_band(ending, tmp_path):
    """512 rows of 18,432 pixels are 27 MiB; `slow` writes all 18,432."""
    words = [sys.executable, "-c", MEASURE, str(tmp_path / f"large.{ending}"), "512"]
    grown = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert grown < 12


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_memory_of_the_largest_picture_is_that_of_a_band(ending, tmp_path):
    words = [sys.executable, "-c", MEASURE, str(tmp_path / f"large.{ending}"), "18432"]
    grown = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert grown < 12


def write_bare_png(path: Path, side: int) -> Path:
    """Write the header of a square PNG, which has no pixels."""
    write_png(path, (side, side), [], {provenance.KEYWORD: "{}"})
    return path


def test_the_provenance_is_read_without_the_pixels(tmp_path):
    """A file of the same provenance is replaced; asking for it took gigabytes for a large one."""
    path = tmp_path / "picture.png"
    write_png(path, (18_432, 18_432), [], {provenance.KEYWORD: provenance.as_text(FACTS)})
    assert provenance.read_facts(path) == FACTS
    assert choose_path(tmp_path, path.name, FACTS, []) == path
    assert choose_path(tmp_path, path.name, FACTS | {"seed": 4}, []).name == "picture-2.png"
    write_picture(tmp_path / "a.tif", (9, 5), [landscape(9, 5)], FACTS)
    assert provenance.read_facts(tmp_path / "a.tif") == FACTS


READ_LARGEST = """
import json, sys, warnings
from pathlib import Path
from pdm.tracking.records.facts import sample_tags
warnings.simplefilter("error")
print(sample_tags(Path(sys.argv[1]))["pyramid.picture_size"])
"""


def test_the_largest_picture_is_no_bomb(tmp_path):
    """In a process that imports nothing else that would lift Pillow's limit."""
    write_bare_png(tmp_path / "000000.png", 18_432)
    listed = {"samples": [{"file": "000000.png"}], "autoencoder_sha256": "a"}
    (tmp_path / "samples.json").write_text(json.dumps(listed | {"diffusion_sha256": "b"}))
    command = [sys.executable, "-c", READ_LARGEST, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "18432x18432"


def test_a_bomb_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 18_432**2)  # others may have lifted it
    with pytest.raises(BadInput, match=r"bomb\.png is not an image that can be read"):
        provenance.read(write_bare_png(tmp_path / "bomb.png", 40_000))
