"""Previews: concept first, then detail."""

import numpy as np
import pytest
import torch
from PIL import Image
from test_sample import draw

from pdm.config.stages.sample import PreviewsConfig
from pdm.data.image_tensors import to_pixels
from pdm.evaluation.inputs.samples_folder import read_samples
from pdm.inference.sample.previews import Frames
from pdm.registry import load_autoencoder

PREVIEWS = PreviewsConfig(num_images=2, frames=3, milliseconds=80)
FEW = {"num_images": 3, "full_size_picture": False, "steps": 6}


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.fixture(scope="module", params=["multistep", "adaptive"])
def samples(request, chain, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param) / "samples"
    return draw(chain, folder, previews=PREVIEWS, sampler=request.param, **FEW)


def test_the_first_pictures_have_frames_by_steps_and_by_levels(samples):
    assert sorted(path.name for path in (samples / "previews").iterdir()) == [
        "000000",
        "000001",
        "sheet.png",
    ]
    names = sorted(path.name for path in (samples / "previews" / "000001").iterdir())
    steps = [f"steps-{number:02}.png" for number in range(4)]  # and the finished picture
    levels = [f"levels-{number:02}.png" for number in (1, 2, 3)]
    assert names == sorted([*levels, "levels.gif", *steps, "steps.gif"])


def test_both_ways_end_with_the_picture_itself(samples):
    for number in range(2):
        folder = samples / "previews" / f"{number:06}"
        expected = pixels(samples / f"{number:06}.png")
        for name in ("steps-03.png", "levels-03.png"):
            assert np.abs(pixels(folder / name) - expected).max() <= 1


def test_the_way_comes_nearer_to_the_picture(samples):
    folder = samples / "previews" / "000000"
    frames = [pixels(folder / f"steps-{number:02}.png") for number in range(4)]
    errors = [np.square(frame - frames[-1]).mean() for frame in frames]
    assert errors[0] > errors[2] > errors[3] == 0


def test_the_animations_hold_all_frames_and_dwell_on_the_last(samples):
    for name, count in (("steps", 4), ("levels", 3)):
        with Image.open(samples / "previews" / "000000" / f"{name}.gif") as gif:
            assert (gif.n_frames, gif.size, gif.info["loop"]) == (count, (32, 16), 0)
            times = []
            for number in range(count):
                gif.seek(number)
                times.append(gif.info["duration"])
        assert times == [80] * (count - 1) + [320]


def test_previews_change_no_sample_and_are_not_scored(chain, samples, tmp_path):
    sampler = "adaptive" if "adaptive" in str(samples) else "multistep"
    plain = draw(chain, tmp_path / "plain", sampler=sampler, **FEW)
    for path in plain.iterdir():
        assert path.read_bytes() == (samples / path.name).read_bytes()
    assert len(read_samples(samples).keys) == 3


def test_a_frame_is_decoded_from_the_levels_that_have_begun(chain):
    """Levels of the chain's model run in windows, so at first there is the global one alone."""
    frames = Frames(4)
    data = tuple(torch.randn(1, *shape) for shape in [(6, 1, 1), (4, 2, 4), (3, 4, 8)])
    for times in ([0.0, -0.1, -0.5], [0.1, -0.05, -0.4], [0.5, 0.3, -0.1], [1.2, 1.1, 0.9]):
        frames.record(data, torch.tensor([times]))
    assert [len(kept) for kept in frames.kept] == [1, 2, 3]  # the second was too near the first
    model = load_autoencoder(chain.autoencoder)
    with torch.no_grad():
        assert to_pixels(model.decode(frames.kept[0], (16, 32))).shape == (1, 16, 32, 3)
