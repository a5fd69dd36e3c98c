import json
import pickle
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from shared.folders import file_digests
from tiny_chain import SAMPLE, sample_from, train_autoencoder

from pdm import ema
from pdm.data.sheets import BACKGROUND
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.sample import sample_images
from pdm.inference.sample.parts import SampleTask
from pdm.inference.sample.stage import _publish
from pdm.models.unet import PyramidUNet
from pdm.parallel.part_folder import PartFolder


def draw(chain, folder, **changes):
    return sample_from(chain, replace(SAMPLE, **changes), folder)


@pytest.fixture(scope="module")
def samples(chain, tmp_path_factory):
    return draw(chain, tmp_path_factory.mktemp("drawn") / "samples")


def pixels(path):
    return np.asarray(Image.open(path)).astype(int)


def test_each_picture_has_a_seed_and_the_models_are_named(chain, samples):
    record = json.loads((samples / "samples.json").read_text())
    named = [(one["file"], one["seed"]) for one in record["samples"]]
    assert named == [(f"{i:06}.png", 7 + i) for i in range(5)]
    assert record["autoencoder_sha256"] == sha256_of(chain.autoencoder / "model.safetensors")
    assert record["diffusion_sha256"] == sha256_of(chain.diffusion / "model.safetensors")
    assert (record["sampler"], record["steps"]) == ("heun", 3)
    assert pixels(samples / "000004.png").shape == (16, 32, 3)


def test_the_same_seeds_give_the_same_bytes(chain, samples, tmp_path):
    again = draw(chain, tmp_path / "again")
    assert file_digests(again) == file_digests(samples)


def test_one_picture_is_not_called_several_in_the_log(chain, tmp_path, caplog):
    caplog.set_level("INFO")
    draw(chain, tmp_path / "one", num_images=1)
    assert "sample: 1 image of 32x16, seed 7, in " in caplog.text


@pytest.mark.parametrize("sampler", ["euler", "heun", "multistep", "adaptive"])
def test_a_picture_does_not_depend_on_its_batch(chain, tmp_path, sampler):
    first, other = (
        draw(
            chain,
            tmp_path / str(size),
            batch_size=size,
            sampler=sampler,
            num_images=3,
            full_size_picture=False,
        )
        for size in (2, 3)
    )
    for i in range(3):
        name = f"{i:06}.png"
        assert np.abs(pixels(first / name) - pixels(other / name)).max() <= 1
    assert not (other / "full-size").exists()


def test_a_picture_follows_from_its_seed_wherever_it_stands(chain, samples, tmp_path):
    other = draw(chain, tmp_path / "other", seed=9, num_images=1, full_size_picture=False)
    assert np.abs(pixels(other / "000000.png") - pixels(samples / "000002.png")).max() <= 1


def test_the_full_size_picture_is_a_held_out_one(samples):
    assert pixels(samples / "full-size" / "original.png").shape == (64, 128, 3)
    assert pixels(samples / "full-size" / "decoded.png").shape == (64, 128, 3)
    record = json.loads((samples / "samples.json").read_text())["full_size"]
    assert record["key"] == f"{5:020x}"


def test_tiles_of_a_large_picture_are_drawn_as_many_at_once_as_pictures(chain, tmp_path):
    batches: list[int] = []

    def count(module, inputs) -> None:
        if isinstance(module, PyramidUNet):
            batches.append(len(inputs[0][0]))

    hook = torch.nn.modules.module.register_module_forward_pre_hook(count)
    try:
        draw(chain, tmp_path / "samples", num_images=1, size=(131, 128), full_size_picture=False)
    finally:
        hook.remove()
    assert max(batches) == SAMPLE.batch_size


def test_the_contact_sheet_shows_all(samples):
    sheet = Image.open(samples / "contact-sheet.png")
    assert sheet.width > 2 * 256  # small pictures are enlarged


def test_another_autoencoder_is_refused(chain, tmp_path):
    _, other = train_autoencoder(tmp_path, chain.shards, seed=1)
    with pytest.raises(BadInput, match="not trained on latents of the autoencoder"):
        sample_images(
            SAMPLE,
            autoencoder=other,
            diffusion=chain.diffusion,
            shards=chain.shards,
            samples=tmp_path / "samples",
        )
    assert not (tmp_path / "samples").exists()


def test_another_length_of_the_average_draws_other_pictures_and_a_kept_one_is_itself(
    chain, tmp_path
):
    drawn = {}
    for length in (None, 0.1, 0.08):
        folder = tmp_path / str(length)
        draw(chain, folder, ema_length=length, full_size_picture=False)
        drawn[length] = (folder / "000000.png").read_bytes()
        assert json.loads((folder / "samples.json").read_text())["ema_length"] == length
    assert len(set(drawn.values())) == 3
    kept = sorted((chain.diffusion / "ema").glob("*-0.1.safetensors"))
    assert [file.name for file in kept] == [
        "000000016-0.1.safetensors",
        "000000032-0.1.safetensors",
    ]
    found = ema.load_ema(chain.diffusion, 0.1)
    for name, weight in load_file(kept[-1]).items():
        torch.testing.assert_close(found[name], weight.float(), atol=1e-5, rtol=1e-3)


def test_ddim_is_refused_where_levels_have_times_of_their_own(chain, tmp_path):
    with pytest.raises(BadInput, match="one time for all levels"):
        draw(chain, tmp_path / "samples", sampler="ddim")


def keyword_arguments(chain, folder):
    return {
        "autoencoder": chain.autoencoder,
        "diffusion": chain.diffusion,
        "shards": chain.shards,
        "samples": folder,
    }


# Draws in a process of its own, which kills itself while it writes the fifth picture.
KILLED = """
import os, pickle, signal, sys, threading
import torch
from PIL import Image
from pdm.inference.sample import sample_images

torch.set_num_threads(1)

config, folders = pickle.loads(bytes.fromhex(sys.argv[1]))
save, calls, lock = Image.Image.save, [], threading.Lock()

def save_or_die(image, file, **options):
    with lock:
        calls.append(file)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
    save(image, file, **options)

Image.Image.save = save_or_die
sample_images(config, **folders)
"""


def test_after_a_kill_the_missing_pictures_are_drawn_and_the_folder_is_that_of_an_unbroken_run(
    chain, one_thread, tmp_path, caplog
):
    samples = draw(chain, tmp_path / "unbroken")
    folder = tmp_path / "killed"
    task = pickle.dumps((SAMPLE, keyword_arguments(chain, folder)))
    done = subprocess.run([sys.executable, "-c", KILLED, task.hex()], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not folder.exists()
    (files,) = tmp_path.glob(".part-killed-*/files")
    times = {file.name: file.stat().st_mtime_ns for file in files.glob("0*.png")}
    assert len(times) >= 2
    caplog.set_level("INFO")
    draw(chain, folder)
    assert "images are there" in caplog.text
    for name in ("000000.png", "000001.png"):  # the first batch is not drawn again
        assert (folder / name).stat().st_mtime_ns == times[name]
    assert file_digests(folder) == file_digests(samples)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["killed", "unbroken"]


def interrupt(chain, folder, monkeypatch, **changes):
    """Press ctrl-C while the third picture is written."""
    calls, save = [], Image.Image.save

    def save_or_stop(image, file, **options):
        calls.append(file)
        if len(calls) == 3:
            raise KeyboardInterrupt
        save(image, file, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", save_or_stop)
        with pytest.raises(KeyboardInterrupt):
            draw(chain, folder, batch_size=1, **changes)
    assert list(folder.parent.glob(".part-*/records/000000.json"))


@pytest.mark.parametrize("changes", [{"seed": 8}, {"steps": 2}, {"num_images": 4}])
def test_pictures_drawn_with_other_params_are_not_continued(chain, tmp_path, monkeypatch, changes):
    interrupt(chain, tmp_path / "broken", monkeypatch)
    for name in ("broken", "unbroken"):
        draw(chain, tmp_path / name, **changes)
    for file in (tmp_path / "unbroken").glob("*.*"):
        assert (tmp_path / "broken" / file.name).read_bytes() == file.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "unbroken"]


def test_large_pictures_are_reduced_on_the_sheet_which_shows_the_first_48(tmp_path):
    folder = PartFolder(tmp_path / "files", tmp_path / "records")
    for each in (folder.files, folder.records):
        each.mkdir()
    for number in range(50):
        shade = 0 if number < 48 else 255
        Image.new("RGB", (1200, 600), (shade,) * 3).save(folder.files / f"{number:06}.png")
        folder.finish(f"{number:06}", [{"file": f"{number:06}.png"}])
    config = replace(SAMPLE, num_images=50, batch_size=1, full_size_picture=False)
    paths = dict.fromkeys(("autoencoder", "diffusion", "shards"), tmp_path)
    _publish(SampleTask(config=config, folder=folder, facts={}, **paths))
    sheet = Image.open(folder.files / "contact-sheet.png")
    assert sheet.width * sheet.height < 52 * 520 * 280
    assert max(sheet.getdata()) == BACKGROUND
    assert len(json.loads((folder.files / "samples.json").read_text())["samples"]) == 50


MEMORY = """
import pickle, resource, sys
from dataclasses import replace
import torch
from pdm.inference.sample import sample_images

torch.set_num_threads(1)
config, folders = pickle.loads(bytes.fromhex(sys.argv[1]))
for count in (50, 400):
    sample_images(replace(config, num_images=count), **folders)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_four_hundred_pictures_take_the_memory_of_fifty(chain, tmp_path):
    changes = {"batch_size": 50, "steps": 1, "sampler": "euler", "full_size_picture": False}
    task = pickle.dumps((replace(SAMPLE, **changes), keyword_arguments(chain, tmp_path / "many")))
    words = [sys.executable, "-c", MEMORY, task.hex()]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    few, many = map(int, done.stdout.split())  # MiB at the peak
    assert len(list((tmp_path / "many").glob("0*.png"))) == 400
    assert many - few < 10  # with a list of them and a sheet of all, a thousand took 130 MiB more
