"""Training on many aspect ratios: what a step has, what latents belong to, and a resumed run."""

import json
import logging
import shutil
from dataclasses import replace

import pytest
import torch
from bucket_chain import CONFIGS, COUNTS, write_bucket_shards
from PIL import Image
from safetensors.torch import load_file
from shared.worker_groups import run_group
from tiny_chain import LATENTS

from pdm.baselines.first_stage import build_first_stage
from pdm.baselines.unets import LatentUNet
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.training.init_from import InitFromConfig
from pdm.data.image_tensors import to_images
from pdm.data.order import share
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import LatentShards
from pdm.data.verification.verify import verify
from pdm.errors import BadInput
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.inference.encode import encode_shards
from pdm.inference.encode.parts import MIRRORED
from pdm.registry import build_autoencoder, load_autoencoder
from pdm.training import autoencoder, diffusion, picture_dataset
from pdm.training.distillation.trajectory_starts import TrajectoryStarts
from pdm.training.distributed.workers import Workers
from pdm.training.latent_dataset import LatentDataset
from pdm.training.monitoring.held_out import proportional_numbers
from pdm.training.picture_dataset import PictureDataset

AUTOENCODER, DIFFUSION = CONFIGS
SIZES = {(width // 4, height // 4) for width, height in COUNTS}
STEPS = [range(start, start + 4) for start in range(0, 160, 4)]


@pytest.fixture(scope="module")
def chain(bucket_chain):
    return bucket_chain


@pytest.fixture(scope="module")
def pictures(chain):
    model = load_autoencoder(chain.autoencoder)
    return PictureDataset(ImageShards(chain.shards, "train"), AUTOENCODER, model)


@pytest.fixture(scope="module")
def noisy(chain):
    return LatentDataset(LatentShards(chain.latents, "train"), DIFFUSION)


def size_of(images):
    return images.shape[3], images.shape[2]


def test_every_step_has_one_bucket_and_all_are_trained_on(pictures, noisy):
    assert {size_of(pictures.load(step)[0].images()) for step in STEPS} == SIZES
    shapes = {tuple(level.shape[1:] for level in noisy.load(step)[0]) for step in STEPS}
    assert shapes == {((6, 1, 1), (4, h // 8, w // 8), (3, h // 4, w // 4)) for w, h in SIZES}


def test_crops_of_a_bucket_that_is_lower_than_crop_px_lie_within_what_is_decoded(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(picture_dataset, "MAX_CROP_PX", 8)
    shards = write_bucket_shards(tmp_path / "shards", {(128, 64): (4, 1), (192, 32): (4, 1)})
    config = replace(
        AUTOENCODER,
        model=replace(AUTOENCODER.model, norm="pixel"),
        equivariance_loss_weight=0.0,
        crop_px=16,
    )
    model = build_autoencoder(config)
    pictures = PictureDataset(ImageShards(shards, "train"), config, model)
    plans = [pictures.load(step)[2] for step in STEPS]
    assert {plan.region.size for plan in plans} == {(16, 16), (8, 16)}
    for plan in plans:
        assert (plan.crop.map_height, plan.crop.map_width) == plan.region.size
        assert plan.crop.size == (8, 8)


# NovelAI/novelai-aspect-ratio-bucketing#3
@pytest.mark.parametrize("num_workers", [2, 4])
def test_shares_of_any_number_of_workers_make_up_the_same_step(pictures, noisy, num_workers):
    for step in STEPS[:12]:
        shares = [share(step, rank, num_workers) for rank in range(num_workers)]
        parts = [pictures.load(part) for part in shares]
        assert torch.equal(
            pictures.load(step)[0].images(), torch.cat([part[0].images() for part in parts])
        )
        assert {part[2] for part in parts} == {pictures.load(step)[2]}
        parts = [noisy.load(part) for part in shares]
        for place in (0, 1):  # data and noise
            for level, whole in enumerate(noisy.load(step)[place]):
                assert torch.equal(whole, torch.cat([part[place][level] for part in parts]))


# huggingface/diffusers PR #14158: pictures were squeezed to the size of their bucket.
def test_no_picture_is_squeezed(chain):
    images = ImageShards(chain.shards, "train")
    for index in range(len(images)):
        width, height = images.buckets[images.bucket_of(index)].size
        assert images.load(index, 16, 32).shape == (height // 4, width // 4, 3)
    with pytest.raises(ValueError, match="several buckets"):
        images.batch([0, len(images) - 1], 16, 32)


# huggingface/diffusers PRs #13353, #13712: latents were cached by step, and the loader reshuffled,
# so pictures were trained on with others' captions.
def test_latents_belong_to_pictures_and_not_to_steps(chain, noisy):
    images, model = ImageShards(chain.shards, "train"), load_autoencoder(chain.autoencoder)
    numbers = {key: index for index, key in enumerate(images.keys)}
    for step in STEPS[:12]:
        data = noisy.load(step)[0]
        for row, key in enumerate(noisy.keys(step)):
            pixels = images.load(numbers[key.removesuffix(MIRRORED)], 16, 32)
            if key.endswith(MIRRORED):
                pixels = pixels[:, ::-1].copy()
            with torch.no_grad():
                expected = model.encode(to_images(pixels[None]))
            for level, wanted in zip(data, expected, strict=True):
                torch.testing.assert_close(level[row], wanted[0], atol=1e-4, rtol=1e-3)


def test_every_picture_is_trained_on_equally_often(noisy):
    count, batch = len(noisy.shards), DIFFUSION.training.batch_size
    steps = range(0, batch * count, batch)  # as many epochs as a batch has images
    keys = [key for start in steps for key in noisy.keys(range(start, start + batch))]
    assert {keys.count(key) for key in noisy.shards.keys} == {batch}


def test_manifests_and_models_know_the_buckets_and_verify(chain):
    verify([chain.latents])
    record = json.loads((chain.diffusion / "config.json").read_text())
    assert {(one["width_px"], one["height_px"]) for one in record["buckets"]} == SIZES
    trained = {one["width_px"]: one["num_samples"]["train"] for one in record["buckets"][:1]}
    assert trained == {32: 14}  # 7 pictures and their mirrored copies


def test_latents_are_measured_on_each_bucket_by_its_share_of_the_pictures(chain):
    images = ImageShards(chain.shards, "train")  # of 7, 5 and 3 pictures
    chosen = proportional_numbers(images, 6)
    assert [sum(n in bucket for n in chosen) for bucket in images.bucket_ranges] == [3, 2, 2]
    assert proportional_numbers(images, 1000) == list(range(15))


def test_what_is_left_over_is_in_the_log(chain, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    config = replace(DIFFUSION, score_images=0)
    config = replace(config, training=replace(config.training, total_images=16))
    train(config, chain, tmp_path)
    assert "16x32 6 (1 batch, 2 left over)" in caplog.text
    assert "val_loss_bucket_16x16" in (tmp_path / "run" / "events.jsonl").read_text()


def train(config, chain, folder):
    return train_in_group(Workers(torch.device("cpu")), config, chain, folder)


def test_all_sizes_are_drawn_at_each_checkpoint_in_a_row_each(chain):
    pictures = chain.diffusion_run / "pictures"
    for name in ("samples", "sizes"):
        assert len(list(pictures.glob(f"{name}-*.png"))) == 2
    [(width, height)] = {Image.open(path).size for path in pictures.glob("sizes-*.png")}
    # Cells are 8 times as large as 32x32, the smallest box around all sizes.
    assert (width, height) == (4 * (8 * 32 + 6) + 6, 3 * (8 * 32 + 6) + 6)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_step_of_tuning_for_few_steps_has_one_size_on_all_workers(chain, num_workers):
    latents = LatentShards(chain.latents, "train")
    starts = TrajectoryStarts(latents, DIFFUSION, "trajectories", 4)
    shapes = []
    for step in STEPS:
        shares = [starts.load(share(step, rank, num_workers))[0] for rank in range(num_workers)]
        for level, whole in enumerate(starts.load(step)[0]):
            assert torch.equal(whole, torch.cat([part[level] for part in shares]))
        shapes.append(shares[0][1].shape[2:])
    counts = [shapes.count((h // 8, w // 8)) for w, h in ((32, 16), (16, 16), (16, 32))]
    assert counts == pytest.approx([40 * number / 15 for number in (7, 5, 3)], abs=1)


def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(chain, tmp_path, one_thread):
    config = replace(DIFFUSION, training=replace(DIFFUSION.training, keep_checkpoints=2))
    model = train(config, chain, tmp_path)
    unbroken = model.read_bytes()
    checkpoints = sorted((tmp_path / "run" / "checkpoints").glob("*32"))
    assert checkpoints
    for checkpoint in checkpoints:
        shutil.rmtree(checkpoint)
    shutil.rmtree(model.parent)
    assert train(config, chain, tmp_path).read_bytes() == unbroken


def train_in_group(workers, config, chain, folder):
    settings = diffusion.Settings(
        *(config, ReferenceDistance, chain.latents, folder / "run", folder / "model"),
        chain.autoencoder,
    )
    diffusion.train_on_worker(settings, workers)
    return folder / "model" / "model.safetensors"


# SimpleTuner PR #1391, open-mmlab/mmdetection#11114: workers had unequal numbers of batches, and
# those with more waited for ever. Here a run goes on with another number of workers, too.
def test_two_workers_take_over_a_run_and_end_with_the_same_weights(chain, tmp_path, one_thread):
    training = replace(DIFFUSION.training, num_workers=2, keep_checkpoints=2)
    # Dropout is drawn for a share as a whole, so it alone depends on the number of workers.
    network = replace(DIFFUSION.model, dropout=(0.0, 0.0))
    config = replace(DIFFUSION, score_images=0, training=training, model=network)
    alone = train_in_group(Workers(torch.device("cpu")), config, chain, tmp_path / "one")
    shutil.copytree(tmp_path / "one" / "run", tmp_path / "two" / "run")
    for checkpoint in (tmp_path / "two" / "run" / "checkpoints").glob("*32"):
        shutil.rmtree(checkpoint)
    both = run_group(2, train_in_group, config, chain, tmp_path / "two")
    assert not any(isinstance(result, Exception) for result in both), both
    expected, found = load_file(alone), load_file(both[0])
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, atol=1e-4, rtol=1e-3)


def test_a_bucket_without_held_out_pictures_is_trained_on_all_the_same(tmp_path):
    counts = {(128, 64): (6, 3), (64, 64): (4, 0)}
    shards = write_bucket_shards(tmp_path / "shards", counts)
    settings = autoencoder.Settings(AUTOENCODER, shards, tmp_path / "run", tmp_path / "model")
    autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    latents = tmp_path / "latents"
    encode_shards(LATENTS, shards=shards, autoencoder=tmp_path / "model", latents=latents)
    assert [len(one) for one in LatentShards(latents, "train").bucket_ranges] == [12, 8]
    assert [bucket.name for bucket in LatentShards(latents, "val").buckets] == ["32x16"]


def test_without_a_picture_of_the_main_size_the_error_says_what_to_do(tmp_path, chain):
    counts = {(128, 64): (0, 0), (64, 64): (4, 4)}
    shards = write_bucket_shards(tmp_path / "shards", counts)
    latents = tmp_path / "latents"
    encode_shards(LATENTS, shards=shards, autoencoder=chain.autoencoder, latents=latents)
    with pytest.raises(BadInput, match="no image of the main size"):
        LatentShards(latents, "train").of_main_size()


def test_a_square_model_is_fine_tuned_on_buckets(chain, tmp_path):
    counts = {(128, 64): (6, 3)}
    one = write_bucket_shards(tmp_path / "one", counts)
    first = autoencoder.Settings(AUTOENCODER, one, tmp_path / "run-1", tmp_path / "first")
    autoencoder.train_on_worker(first, Workers(torch.device("cpu")))
    digest = sha256_of(first.model / "model.safetensors")
    origin = InitFromConfig(path=str(first.model), sha256=digest)
    settings = autoencoder.Settings(
        replace(AUTOENCODER, init_from=origin), chain.shards, tmp_path / "run-2", tmp_path / "tuned"
    )
    autoencoder.train_on_worker(settings, Workers(torch.device("cpu")))
    record = json.loads((tmp_path / "tuned" / "config.json").read_text())
    assert len(record["buckets"]) == 3
    assert record["init_from"]["sha256"] == digest


@pytest.mark.parametrize(("width", "height"), [(64, 32), (32, 32), (32, 64)])
def test_networks_of_ldm_take_every_shape_too(width, height):
    torch.manual_seed(0)
    stage = FirstStageConfig(name="kl-f4", base_width=32, latent_scale="channel", latent_weight=1.0)
    first = build_first_stage(stage).eval()
    unet = LatentUNet(
        LatentUNetConfig(name="celeba", base_width=32, predicts="noise"),
        first.level_channels,
        first.level_downsamplings,
    ).eval()
    images = torch.zeros(1, 3, height, width)
    with torch.no_grad():
        latents = first.encode(images)
        assert unet(latents, torch.tensor([0.5]))[0].shape == latents[0].shape
        assert first.decode(latents).shape == images.shape
