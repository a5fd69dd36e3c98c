"""Sampling in bfloat16: `sample.precision`."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_chain import SAMPLE, sample_from

from pdm.config.stages.sample import PreviewsConfig
from pdm.inference.champion import load_champion_folder
from pdm.inference.latent_sampling import draw_latents
from pdm.inference.pictures.loaded_models import load_models
from pdm.inference.sampling_networks import load_networks
from pdm.model_record import record_of
from pdm.models.layers.blocks import ToPixels
from pdm.models.unet_parts.embedding import Embedding

CPU = torch.device("cpu")
# Bounds of docs/guide/sampling.md, in grey levels of 255.
MEAN_DIFFERENCE, MAX_DIFFERENCE = 0.5, 8


def draw(chain, folder, **changes):
    settings = {"sampler": "multistep", "steps": 20, "full_size_picture": False}
    sample_from(chain, replace(SAMPLE, **settings, **changes), folder)
    record = json.loads((folder / "samples.json").read_text())
    files = [folder / row["file"] for row in record["samples"]]
    return record, np.stack([np.asarray(Image.open(file)).astype(int) for file in files])


def test_pictures_of_a_trained_model_in_bfloat16_are_near_those_in_float32(chain, tmp_path):
    exact_record, exact = draw(chain, tmp_path / "float32")
    record, rounded = draw(chain, tmp_path / "bfloat16", precision="bfloat16")
    assert record["precision"] == "bfloat16"
    assert "precision" not in exact_record  # as in samples of earlier versions
    differences = np.abs(exact - rounded)
    assert differences.max() > 0
    assert differences.mean() < MEAN_DIFFERENCE
    assert differences.max() < MAX_DIFFERENCE


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_champion_and_loaded_models_draw_the_pictures_of_the_stage(chain, tmp_path, precision):
    config = replace(SAMPLE, precision=precision, batch_size=1, num_images=2)
    for name in ("autoencoder", "diffusion"):
        (tmp_path / name).symlink_to(getattr(chain, name))
    previews = PreviewsConfig(num_images=1, frames=2, milliseconds=100)
    record, expected = draw(
        chain, tmp_path / "samples", precision=precision, batch_size=1, previews=previews
    )
    (tmp_path / "samples.json").write_text(json.dumps(record))
    champion, models = load_champion_folder(tmp_path), load_models(tmp_path, config)
    changes = {"sampler": "multistep", "steps": 20}
    for number in (0, 1):
        seed = SAMPLE.seed + number
        [picture] = champion.draw([seed])
        assert np.array_equal(picture, expected[number])
        [picture] = models.draw([seed], models.size, config=replace(config, **changes))
        assert np.array_equal(picture, expected[number])
    folder = tmp_path / "samples" / "previews" / "000000"
    for last in (sorted(folder.glob(f"{name}-*.png"))[-1] for name in ("steps", "levels")):
        assert np.array_equal(np.asarray(Image.open(last)), expected[0])


def test_steps_times_and_outputs_stay_in_float32(chain):
    config = replace(SAMPLE, precision="bfloat16")
    networks = load_networks(chain.diffusion, config, CPU)
    seen = []

    def note(module, inputs, output):
        seen.append((type(module), output.dtype))

    for module in networks.network.modules():
        if isinstance(module, Embedding | ToPixels | torch.nn.Conv2d):
            module.register_forward_hook(note)
    networks.network.embedding.time.register_forward_hook(note)
    shapes = [tuple(shape) for shape in record_of(chain.diffusion)["level_shapes"]]
    latents = draw_latents(networks, config, [0, 1], shapes)
    assert {level.dtype for level in latents} == {torch.float32}
    inside = {dtype for kind, dtype in seen if kind is torch.nn.Conv2d}
    assert torch.bfloat16 in inside
    others = {dtype for kind, dtype in seen if kind is not torch.nn.Conv2d}
    assert others == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_group_norm_sums_in_float32_whatever_it_is_fed(dtype):
    """Sums of many values in bfloat16 would stop growing at 256 times one of them."""
    torch.manual_seed(0)
    features = (torch.randn(1, 8, 128, 128) + 1).to(dtype)
    norm = torch.nn.GroupNorm(2, 8, eps=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        found = norm(features).double()
    groups = found.view(2, -1)
    torch.testing.assert_close(groups.mean(dim=1), torch.zeros(2).double(), atol=0.01, rtol=0)
    torch.testing.assert_close(groups.std(dim=1), torch.ones(2).double(), atol=0.01, rtol=0)
