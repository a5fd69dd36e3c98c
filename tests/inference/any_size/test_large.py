"""Pictures of any size by the commands, from a tiny model of 32x16 pixels."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_chain import SAMPLE

from pdm import cli
from pdm.config.sampling.tiling import TilingConfig
from pdm.data import provenance
from pdm.inference.any_size.fit import cut_bands, fit
from pdm.inference.any_size.large import LargeImage
from pdm.inference.any_size.rectangles import Rectangle
from pdm.inference.any_size.tiled.canvas import Canvas
from pdm.inference.any_size.tiled.decode import decoding_layout
from pdm.inference.any_size.tiled.enlarge import enlarge
from pdm.inference.any_size.tiled.enlarged import EnlargedImage
from pdm.inference.any_size.tiled.panorama import compose_side_by_side
from pdm.inference.pictures.draw import drawings_of_seeds
from pdm.inference.pictures.loaded_models import load_models
from pdm.presets import DEFAULT


@pytest.fixture(scope="module")
def models(chain, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("any-size")
    (folder / "autoencoder").symlink_to(chain.autoencoder)
    (folder / "diffusion").symlink_to(chain.diffusion)
    return folder


@pytest.fixture(scope="module")
def params(tmp_path_factory) -> Path:
    """Without guidance, since the tiny model has no earlier EMA."""
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    text = DEFAULT.read_text().replace("guidance_scale: 2.5", "guidance_scale: 1.0")
    path.write_text(text)
    return path


@pytest.fixture
def run(models, params, tmp_path, one_thread):
    def call(*words, code=0) -> None:
        options = ["--models", models, "--params", params, "--steps", 3]
        assert cli.main([*map(str, (*words, *options))]) == code

    return call


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file)


def photo_in(folder: Path, width: int, height: int) -> Path:
    rough = np.random.default_rng(3).integers(40, 216, (5, 7, 3), np.uint8)
    path = folder / "photo.png"
    Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def test_a_model_draws_without_a_prompt_at_its_own_size(run, tmp_path, capsys):
    run("draw", "--output", tmp_path, "--num", 2, "--seed", 5)
    names = [Path(line.split()[0]).name for line in capsys.readouterr().out.splitlines()]
    assert names == ["picture-5.png", "picture-6.png"]
    assert pixels_of(tmp_path / "picture-5.png").shape == (16, 32, 3)


def test_the_size_of_the_stage_is_not_that_of_a_drawing(models):
    loaded = load_models(models, replace(SAMPLE, size=(6000, 2500)))
    assert not {"size", "tiling", "colour"} & set(loaded.facts)


@pytest.mark.parametrize(("size", "ending"), [("300x140", "png"), ("131x128", "tif")])
def test_any_size_is_drawn_exactly_and_a_seed_gives_the_same_bytes(size, ending, run, tmp_path):
    files = []
    for name in "ab":
        run("draw", "--size", size, "--format", ending, "--output", tmp_path / name)
        files.append(tmp_path / name / f"picture-{size}-0.{ending}")
        assert [each.name for each in (tmp_path / name).iterdir()] == [files[-1].name]
    assert files[0].read_bytes() == files[1].read_bytes()
    picture = pixels_of(files[0])
    assert f"{picture.shape[1]}x{picture.shape[0]}" == size
    mark, _ = provenance.read(files[0])
    assert mark["size"] == [picture.shape[1], picture.shape[0]]
    assert (mark["command"], mark["tiling"], mark["colour"]) == ("draw", "fstd", "wavelet")


def test_a_large_picture_has_the_composition_of_the_models_own(run, tmp_path):
    run("draw", "--output", tmp_path)
    run("draw", "--output", tmp_path, "--size", "256x128")
    own = pixels_of(tmp_path / "picture-0.png").astype(float)
    large = Image.open(tmp_path / "picture-256x128-0.png").resize((32, 16), Image.Resampling.BOX)
    assert np.abs(np.asarray(large, float) - own).mean() < 12


def test_a_shape_that_the_model_does_not_know_is_composed_of_several_pictures(run, tmp_path):
    run("draw", "--size", "512x128", "--output", tmp_path)
    [path] = tmp_path.iterdir()
    picture = pixels_of(path).astype(float)
    assert picture.shape == (128, 512, 3)
    left, right = picture[:, :256], picture[:, -256:]
    assert np.abs(left - right).mean() > 3  # not one picture again and again
    steps = np.abs(np.diff(picture, axis=1)).mean(axis=(0, 2))
    assert steps.max() < 4 * np.median(steps) + 8


def test_decoded_tiles_overlap_even_where_a_tile_has_two_cells(models):
    """Pictures one above the other had a border between them."""
    loaded = load_models(models, SAMPLE)
    plain = EnlargedImage(np.zeros((80, 80, 3), np.uint8), 1, (80, 80))
    canvas = Canvas(loaded, plain, num_known=1)
    assert canvas.layout(TilingConfig()).tile_size == (2, 4)
    for axis in decoding_layout(canvas, tiles_at_once=4):
        steps = np.diff(axis.starts)
        assert len(steps) > 1
        assert steps.max() < axis.tile_side


def test_a_killed_run_goes_on_where_it_was_and_ends_with_equal_bytes(
    models, params, run, tmp_path, caplog
):
    """It is killed while it draws the second of two pictures; the first is not drawn again."""
    words = ["draw", "--size", "140x128", "--seed", "3", "--num", "2"]
    finished, broken = "picture-140x128-3.png", "picture-140x128-4.png"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    command = [sys.executable, "-m", "pdm", *words, "--output", str(killed)]
    command += ["--models", str(models), "--params", str(params), "--steps", "3"]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 400
    while not list(killed.glob(f".part-{broken}-*/round-0.npy")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / broken).exists()
    written = (killed / finished).stat().st_mtime_ns

    run(*words, "--output", whole)
    caplog.set_level("INFO")
    run(*words, "--output", killed)
    assert "continuing where an earlier run stopped" in caplog.text
    assert f"{finished} exists already" in caplog.text
    assert (killed / finished).stat().st_mtime_ns == written
    assert sorted(each.name for each in killed.iterdir()) == [finished, broken]
    for name in (finished, broken):
        assert (whole / name).read_bytes() == (killed / name).read_bytes()


@pytest.mark.parametrize("sampler", ["multistep", "heun"])
def test_a_round_goes_on_from_any_of_its_steps(sampler, models, tmp_path, one_thread):
    """The state is saved after each step here; a run that ends at a tile loses one step at most."""
    loaded = load_models(models, replace(SAMPLE, sampler=sampler, steps=5))
    picture = np.random.default_rng(1).integers(0, 256, (24, 40, 3), np.uint8)
    whole = np.concatenate(list(enlarge(loaded, picture, 2, seed=3)))

    def interrupt(done: int, total: int) -> None:
        if done > 0.6 * total:
            raise KeyboardInterrupt

    options = {"seed": 3, "state": tmp_path, "save_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        list(enlarge(loaded, picture, 2, on_progress=interrupt, **options))
    first: list[int] = []
    bands = enlarge(loaded, picture, 2, on_progress=lambda done, _: first.append(done), **options)
    np.testing.assert_array_equal(np.concatenate(list(bands)), whole)
    assert first[0] > 0


@pytest.mark.parametrize(
    ("which", "mode", "warns"),
    [("ldm", "fstd", True), ("ldm", "mixture", False), ("loaded", "fstd", False)],
)
def test_tiles_that_may_show_are_announced(which, mode, warns, request, caplog):
    models = request.getfixturevalue(which)
    large = LargeImage(size=(64, 128), tiling=TilingConfig(mode=mode), colour="none")
    large.log(models, large.plan_drawing(models), "draw")
    assert ("may show" in caplog.text) == warns


def test_progress_counts_the_tiles_of_all_rounds(run, tmp_path, caplog):
    caplog.set_level("INFO")
    run("draw", "--size", "300x140", "--output", tmp_path)
    lines = [each for each in caplog.messages if "tiles" in each]
    done, total = (int(word.replace(",", "")) for word in lines[-1].split()[1:4:2])
    assert done == total
    assert "left" in lines[-1]


@pytest.mark.parametrize("colour", ["wavelet", "adain", "none"])
def test_a_picture_is_enlarged_to_any_size_by_a_model_without_a_task(colour, run, tmp_path):
    photo = photo_in(tmp_path, 45, 30)
    run("upscale", photo, "--size", "200x150", "--colour", colour)
    large = pixels_of(tmp_path / "photo-200x150-0.png").astype(float)
    assert large.shape == (150, 200, 3)
    # Edges are cut off at the left and the right.
    shown = pixels_of(photo)[:, 2:43].mean((0, 1))
    assert colour == "none" or np.abs(large.mean((0, 1)) - shown).max() < 4


def test_what_cannot_be_drawn_is_refused_in_one_line_before_any_work(run, tmp_path, capsys):
    photo = photo_in(tmp_path, 300, 200)

    def refusal(*words) -> str:
        run(*words, "--models", tmp_path / "nowhere", code=2)
        text = capsys.readouterr().err.strip()
        assert len(text.splitlines()) == 1
        return text

    assert "--size: expected a width and a height from 128 to 18,432" in refusal(
        "draw", "--size", "100x5000"
    )
    assert "got '6000'" in refusal("draw", "--size", "6000")
    assert "--mode requires --size" in refusal("draw", "--mode", "spot")
    assert "--format tif requires --size" in refusal("draw", "--format", "tif")
    for option, value in (("--mode", "spot"), ("--colour", "adain"), ("--strength", "0.3")):
        assert f"{option} requires --size" in refusal("upscale", photo, option, value)
    assert "--size: expected a width" in refusal("upscale", photo, "--size", "")
    assert "must end in .png, .tif or .tiff" in refusal(
        "upscale", photo, "--size", "999x999", "--output", tmp_path / "a.jpg"
    )
    assert "would replace" in refusal("upscale", photo, "--size", "999x999", "--output", photo)
    run("upscale", photo, "--size", "300x128", code=2)
    assert "not smaller than 300x128" in capsys.readouterr().err


def test_cutting_bands_is_cutting_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (50, 40, 3), np.uint8)
    bands = (picture[top : top + 7] for top in range(0, 50, 7))
    found = np.concatenate(list(cut_bands(bands, Rectangle(5, 3, 31, 20))))
    np.testing.assert_array_equal(found, picture[5:36, 3:23])


def test_a_box_beyond_the_picture_is_filled_with_its_mirror_image():
    picture = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    found = fit(picture, Rectangle(1, 0, 8, 7), (8, 7))
    np.testing.assert_array_equal(found[:5, :5], picture[1:])
    np.testing.assert_array_equal(found[5:, :5], picture[:2:-1])
    np.testing.assert_array_equal(found[:, 5:], found[:, 4:2:-1])


class Interrupted(Exception):
    """Ends a drawing."""


def test_a_composition_of_several_pictures_goes_on_and_fits_the_batch(models, tmp_path, one_thread):
    loaded = load_models(models, replace(SAMPLE, batch_size=2, steps=6))
    [drawing] = drawings_of_seeds(loaded, [1])
    batches: list[int] = []
    most = 1000

    def count(network, inputs) -> None:
        batches.append(len(inputs[0][0]))
        if len(batches) == most:
            raise Interrupted

    def compose(name: str) -> tuple[np.ndarray, int]:
        batches.clear()
        bands = compose_side_by_side(drawing, (16, 128), tmp_path / name, save_seconds=0.0)
        return np.concatenate(list(bands)), len(batches)

    with loaded.networks.network.register_forward_pre_hook(count):
        expected, evaluations = compose("whole")
        assert max(batches) == 2
        most = evaluations - 5
        with pytest.raises(Interrupted):
            compose("interrupted")
        most = 1000
        found, left = compose("interrupted")
    np.testing.assert_array_equal(found, expected)
    assert left < 0.5 * evaluations
    assert not list(tmp_path.iterdir())
