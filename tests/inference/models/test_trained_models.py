"""What the two training stages leave behind; the work runs here without Ray."""

import json
import shutil

import pytest
import torch
from PIL import Image, ImageChops
from tiny_chain import AUTOENCODER, DIFFUSION, drawn_pictures, train_autoencoder, write_shards

from pdm import events
from pdm.data.image_tensors import to_images
from pdm.data.order import share
from pdm.data.shards import listing, manifest
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.unet import PyramidUNet
from pdm.training import autoencoder, picture_dataset
from pdm.training.latent_dataset import LatentDataset
from pdm.training.monitoring.cost.flops import flops_of
from pdm.training.monitoring.curves import write_curves
from pdm.training.monitoring.samples.grid import SampleGrid, flow_sampler


def test_the_autoencoder_knows_its_size_data_and_scores(chain):
    record = json.loads((chain.autoencoder / "config.json").read_text())
    assert (record["image_height_px"], record["image_width_px"]) == (16, 32)
    assert record["shards_sha256"] == manifest.digest(chain.shards)
    assert record["images_seen"] == 32
    assert record["forward_flops"] > 0
    assert len(record["val_psnr_by_levels"]) == 3


def test_its_latents_are_standardised_over_the_training_pictures(chain):
    model = PyramidAutoencoder.from_pretrained(chain.autoencoder)
    images = to_images(ImageShards(chain.shards, "train").reduced(16, 32))
    with torch.no_grad():
        for level in model.encode(images):
            axes = (0, 2, 3)
            assert level.mean(axes).abs().max() < 1e-3
            assert (level.std(axes, correction=0) - 1).abs().max() < 1e-3


def test_events_hold_losses_scores_and_pictures(chain):
    found = events.read(chain.autoencoder_run / "events.jsonl")
    metrics = {name for event in found if event["kind"] == "metrics" for name in event["values"]}
    assert {"loss", "l1", "kl_level_2", "grad_norm", "val_psnr_levels_3"} <= metrics
    pictures = [event["path"] for event in found if event["kind"] == "picture"]
    assert pictures == [f"pictures/reconstructions-{seen:09}.png" for seen in (16, 32)]
    assert all((chain.autoencoder_run / path).stat().st_size for path in pictures)


def test_the_diffusion_model_names_the_latents_and_the_autoencoder(chain):
    record = json.loads((chain.diffusion / "config.json").read_text())
    assert record["autoencoder_sha256"] == sha256_of(chain.autoencoder / "model.safetensors")
    assert record["latents_sha256"] == manifest.digest(chain.latents)
    assert record["level_shapes"] == [[6, 1, 1], [4, 2, 4], [3, 4, 8]]
    PyramidUNet.from_pretrained(chain.diffusion)
    found = events.read(chain.diffusion_run / "events.jsonl")
    metrics = {name for event in found for name in event.get("values", {})}
    assert {"loss", "loss_level_0", "loss_time_3", "val_loss", "val_loss_level_2"} <= metrics


def test_a_grid_of_the_same_seeds_is_drawn_at_every_checkpoint(chain):
    found = events.read(chain.diffusion_run / "events.jsonl")
    pictures = [event for event in found if event["kind"] == "picture"]
    assert [(event["name"], event["images_seen"]) for event in pictures] == [
        ("samples", 16),
        ("samples", 32),
    ]
    with Image.open(chain.diffusion_run / pictures[-1]["path"]) as last:
        network = PyramidUNet.from_pretrained(chain.diffusion)
        sampler = flow_sampler(DIFFUSION.model.windows, 3)
        again, _ = drawn_pictures(chain).draw(network, sampler)
        differences = ImageChops.difference(last.convert("RGB"), again).getextrema()
    assert max(high for _, high in differences) <= 2  # training lays weights out differently


def test_a_sample_grid_refuses_another_autoencoder(chain, tmp_path):
    shutil.copytree(chain.autoencoder, tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").write_bytes(b"other")
    facts = manifest.read(chain.latents).facts
    with pytest.raises(BadInput, match="is not the autoencoder"):
        SampleGrid(tmp_path / "other", facts, torch.device("cpu"))
    with pytest.raises(BadInput, match="does not exist"):
        SampleGrid(tmp_path / "none", facts, torch.device("cpu"))


def test_flops_are_counted_as_everybody_counts_them():
    network = torch.nn.Conv2d(3, 8, 3, padding=1)
    assert flops_of(lambda: network(torch.zeros(1, 3, 16, 32))) == 2 * 27 * 8 * 16 * 32


def test_flops_without_values_are_those_with_values():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3),
        torch.nn.GroupNorm(2, 8),
        torch.nn.Upsample(scale_factor=2, mode="bilinear"),
        torch.nn.LayerNorm(20),
        torch.nn.Conv2d(8, 4, 3),
    ).to(memory_format=torch.channels_last)
    pictures = torch.zeros(2, 3, 8, 12).to(memory_format=torch.channels_last)
    expected = flops_of(lambda: network(pictures))
    network.to("meta")
    assert flops_of(lambda: network(pictures.to("meta"))) == expected > 0


def test_models_and_latents_carry_the_list_of_pictures_and_the_version_of_the_shards(chain):
    expected = (chain.shards / listing.FILE_NAME).read_bytes()
    for folder in (chain.latents, chain.autoencoder, chain.diffusion):
        assert (folder / listing.FILE_NAME).read_bytes() == expected
    for folder in (chain.autoencoder, chain.diffusion):
        record = json.loads((folder / "config.json").read_text())
        assert record["shards_sha256"] == manifest.digest(chain.shards)


def test_the_curves_are_a_table_without_timings(chain, tmp_path):
    write_curves(chain.diffusion_run / "events.jsonl", tmp_path / "curves.csv")
    lines = (tmp_path / "curves.csv").read_text().splitlines()
    assert lines[0].startswith("images_seen,loss,grad_norm,learning_rate,loss_level_0")
    assert "per_second" not in lines[0]
    assert [line.split(",")[0] for line in lines[1:]] == ["8", "16", "24", "32"]


def test_equal_settings_and_data_give_equal_weights(chain, tmp_path):
    _, model = train_autoencoder(tmp_path, chain.shards)
    name = "model.safetensors"
    assert (model / name).read_bytes() == (chain.autoencoder / name).read_bytes()


def test_a_run_is_named_after_its_settings_and_its_data(chain, tmp_path):
    other = write_shards(tmp_path / "shards", first_seed=100)
    names = {
        autoencoder.run_folder(AUTOENCODER, shards=shards, runs=tmp_path).name
        for shards in (chain.shards, chain.shards, other)
    }
    assert len(names) == 2


@pytest.mark.parametrize("world_size", [2, 4])
def test_noise_times_and_mirroring_do_not_depend_on_the_number_of_workers(chain, world_size):
    batch = range(8, 16)
    model = PyramidAutoencoder.from_pretrained(chain.autoencoder)
    pictures = picture_dataset.PictureDataset(
        ImageShards(chain.shards, "train"), AUTOENCODER, model
    )
    noisy = LatentDataset(LatentShards(chain.latents, "train"), DIFFUSION)
    shares = [share(batch, rank, world_size) for rank in range(world_size)]
    whole, parts = pictures.load(batch), [pictures.load(positions) for positions in shares]
    assert torch.equal(whole[0].images(), torch.cat([part[0].images() for part in parts]))
    whole, parts = noisy.load(batch), [noisy.load(positions) for positions in shares]
    assert torch.equal(whole[2], torch.cat([part[2] for part in parts]))
    for level in range(3):
        assert torch.equal(whole[1][level], torch.cat([part[1][level] for part in parts]))
