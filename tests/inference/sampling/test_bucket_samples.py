"""Samples of many aspect ratios: their sizes, what they are drawn from, and their scores."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from bucket_chain import CONFIGS, COUNTS, write_bucket_shards
from PIL import Image
from tiny_chain import SAMPLE, sample_from

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.config.stages.sample import PreviewsConfig
from pdm.config.task import SuperResolutionTask
from pdm.config.training.distil import DistilConfig
from pdm.data.image_tensors import to_images
from pdm.data.shards.images import ImageShards
from pdm.errors import BadInput
from pdm.evaluation.evaluate import evaluate
from pdm.evaluation.inputs.pictures import open_shape
from pdm.evaluation.inputs.sample_size import check_sample_size
from pdm.evaluation.reconstruction import psnr
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.any_size.plan import nearest_size
from pdm.inference.conditioning import Classes, HeldOut
from pdm.inference.image_sizes import ImageSize, SizesInTurn, sizes_of
from pdm.inference.pictures.draw import drawings_of_seeds
from pdm.inference.pictures.loaded_models import load_models
from pdm.inference.sample import sample_images
from pdm.registry import load_autoencoder
from pdm.tasks.super_resolution import SuperResolution
from pdm.tasks.task import refuse_to_encode
from pdm.training.distillation import distil_flow
from pdm.training.distributed.launchers import launch_in_process

DIFFUSION = CONFIGS[1]
SIZES = {(width // 4, height // 4) for width, height in COUNTS}
EVALUATE = EvaluateConfig(
    num_features=8,
    num_projections=8,
    patches_per_image=4,
    crops_per_image=2,
    crop_px=8,
    features=(),
    num_replicates=10,
    num_neighbours=2,
    batch_size=4,
    seed=0,
)
PREVIEWS = PreviewsConfig(num_images=2, frames=2, milliseconds=100)


@pytest.fixture(scope="module")
def chain(bucket_chain):
    return bucket_chain


@pytest.fixture(scope="module")
def samples(chain, tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples") / "samples"
    config = replace(SAMPLE, num_images=14, batch_size=5, previews=PREVIEWS)
    sample_from(chain, config, folder)
    return folder


def listed(folder):
    return json.loads((folder / "samples.json").read_text())["samples"]


def test_samples_have_the_sizes_in_turn_and_state_them(samples):
    sizes = []
    for row in listed(samples):
        with Image.open(samples / row["file"]) as picture:
            assert picture.size == (row["width_px"], row["height_px"])
            sizes.append(picture.size)
    assert set(sizes[:3]) == SIZES
    assert sizes[3:] == sizes[:-3]


def test_a_sample_does_not_depend_on_its_batch(chain, samples, tmp_path):
    config = replace(SAMPLE, num_images=14, batch_size=14, full_size_picture=False)
    sample_from(chain, config, tmp_path / "samples")
    for one, other in zip(listed(samples), listed(tmp_path / "samples"), strict=True):
        pictures = [
            np.asarray(Image.open(folder / row["file"]), dtype=int)
            for folder, row in ((samples, one), (tmp_path / "samples", other))
        ]
        assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_every_class_is_drawn_at_every_size():
    sizes = [ImageSize((side, side), ()) for side in (8, 16, 24)]
    classes = Classes(("a", "b", "c"), ("a", "b", "c"))
    turns = SizesInTurn(sizes, classes, first_seed=4)
    drawn = {(classes.origin(4 + n)["class"], turns.size_of(n).size) for n in range(9)}
    assert len(drawn) == 9


def test_each_size_is_scored_against_held_out_pictures_of_its_bucket(chain, samples, tmp_path):
    scores = evaluate(
        EVALUATE,
        samples=samples,
        shards=chain.shards,
        autoencoder=chain.autoencoder,
        metrics=tmp_path / "metrics.json",
        plots=tmp_path / "plots",
        cache=tmp_path / "cache",
    )
    name = "frechet_random_conv/samples_vs_val"
    each = {size: scores[f"by_size/{size}/{name}"] for size in ("32x16", "16x16", "16x32")}
    assert scores[name] == each["32x16"]
    assert len(set(each.values())) == 3
    assert scores[f"by_size/mean/{name}"] == pytest.approx(sum(each.values()) / 3, rel=1e-4)
    sharp = "reconstruction/psnr_db/levels_3"
    each = {size: scores[f"by_size/{size}/{sharp}"] for size in ("32x16", "16x16", "16x32")}
    assert scores[sharp] == each["32x16"]
    assert len(set(each.values())) == 3
    model = load_autoencoder(chain.autoencoder)
    tall = ImageShards(chain.shards, "val", only=(64, 128))
    images = to_images(np.stack([tall.load(number, 32, 16) for number in range(len(tall))]))
    with torch.no_grad():
        decoded = model.decode(model.encode(images), (32, 16)).clamp(-1, 1)
    assert each["16x32"] == pytest.approx(float(psnr(decoded, images, 2.0).mean()), abs=1e-3)
    written = json.loads((tmp_path / "metrics.json").read_text())
    assert written["by_size"]["16x32"]["counts"] == {
        "num_samples": 4,
        "num_val": 4,
        "num_train": 3,
    }
    assert "by_size" in written["conventions"]["sizes"]


def test_a_size_with_too_few_pictures_is_not_scored_and_said_so(chain, tmp_path, caplog):
    counts = {(128, 64): (6, 4), (64, 64): (4, 1), (64, 128): (4, 4)}
    shards = write_bucket_shards(tmp_path / "shards", counts)
    sample_images(
        replace(SAMPLE, num_images=9, full_size_picture=False),
        autoencoder=chain.autoencoder,
        diffusion=chain.diffusion,
        shards=shards,
        samples=tmp_path / "samples",
    )
    scores = evaluate(
        EVALUATE,
        samples=tmp_path / "samples",
        shards=shards,
        autoencoder=chain.autoencoder,
        metrics=tmp_path / "metrics.json",
        plots=tmp_path / "plots",
        cache=tmp_path / "cache",
    )
    assert "no scores of 16x16: 1 val image is too few" in caplog.text
    assert not any(name.startswith("by_size/16x16") for name in scores)


def test_a_picture_of_any_size_is_composed_at_the_nearest_trained_size(chain, tmp_path):
    models = load_models(chain.link_models(tmp_path), SAMPLE)
    assert set(models.sizes) == {(height, width) for width, height in SIZES}
    [drawing] = drawings_of_seeds(models, [3])
    for asked, trained in (((40, 90), (16, 32)), ((90, 40), (32, 16)), ((50, 60), (16, 16))):
        composed = drawing.at_size(nearest_size(models.sizes, asked))
        assert composed.draw().shape == (*trained, 3)
        assert composed.models.size == trained


def test_a_flow_of_several_sizes_is_tuned_for_few_steps_and_draws_them_all(chain, tmp_path):
    tuning = {"total_images": 8, "batch_size": 4, "learning_rate": 1e-3}
    distil = DistilConfig(steps=2, teacher_steps=4, ema_half_life_images=4, **tuning)
    distil_flow(
        replace(DIFFUSION, distil=distil),
        latents=chain.latents,
        autoencoder=chain.autoencoder,
        flow=chain.diffusion,
        run=tmp_path / "run",
        model=tmp_path / "diffusion",
        build_reference_distance=ReferenceDistance,
        launch=launch_in_process,
    )
    assert list((tmp_path / "run/pictures").glob("sizes-*.png"))
    sample_images(
        replace(SAMPLE, num_images=3, steps=2, full_size_picture=False),
        autoencoder=chain.autoencoder,
        diffusion=tmp_path / "diffusion",
        shards=chain.shards,
        samples=tmp_path / "samples",
    )
    assert "few_steps_sha256" in json.loads((tmp_path / "samples/samples.json").read_text())
    assert {(row["width_px"], row["height_px"]) for row in listed(tmp_path / "samples")} == SIZES


def test_a_sample_from_a_held_out_picture_has_its_size(chain):
    config = SuperResolutionTask(kind="super_resolution", factor=2, degradation="bicubic")
    images = ImageShards(chain.shards, "val")
    held_out = HeldOut(SuperResolution(config), images, (16, 32), refuse_to_encode)
    turns = SizesInTurn(
        sizes_of(json.loads((chain.diffusion / "config.json").read_text())), held_out, first_seed=3
    )
    for number in range(len(images)):
        pixels = held_out.example(3 + number).pixels
        assert pixels.shape[:2] == turns.size_of(number).size
    # However few are drawn: scores without a size are of the main one.
    assert {turns.size_of(number).size[::-1] for number in range(3)} == SIZES
    drawn = {held_out.origin(3 + number)["held_out"] for number in range(len(images))}
    assert drawn == set(images.keys)


def test_samples_of_a_named_size_are_scored_if_any_bucket_has_their_shape(chain, tmp_path):
    def check(width, height):
        (tmp_path / "samples.json").write_text(json.dumps({"size": [width, height]}))
        check_sample_size(tmp_path, chain.shards)

    check(32, 64)  # as the crops of 64x128
    check(126, 64)  # almost as 128x64
    opened = open_shape(chain.shards, "val", 64, 126)
    assert [bucket.name for bucket in opened.buckets] == ["128x64"]
    assert opened.load(0, 64, 126).shape == (64, 126, 3)
    with pytest.raises(BadInput, match="128x64, 64x64, 64x128: only a size of their shape"):
        check(96, 32)
    with pytest.raises(BadInput, match="none of these shapes"):
        open_shape(chain.shards, "val", 32, 96)
