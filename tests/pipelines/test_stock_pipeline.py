"""LDM as diffusers' own pipeline: it draws what the stage `sample` does, of the same noise."""

import json
from dataclasses import replace

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image
from random_models import (
    CELEBA,
    KL_CHANNEL,
    KL_SCALAR,
    VQ_CHANNEL,
    VQ_SCALAR,
    first_stage,
    latent_unet,
    pyramid,
    write_models,
)
from safetensors.torch import load_file
from shared.tiny_pyramid import SAMPLE

from pdm import ema
from pdm.cli import main
from pdm.config.task import InpaintingTask
from pdm.data.shards import buckets
from pdm.errors import BadInput
from pdm.inference.sample import sample_images
from pdm.pipelines.export import export_diffusers


def draw_by_stage(models, folder, config=SAMPLE):
    """The pictures of the stage `sample`, uint8 (B, H, W, 3)."""
    sample_images(
        config,
        autoencoder=models / "autoencoder",
        diffusion=models / "diffusion",
        shards=folder / "no-shards",
        samples=folder / "samples",
    )
    files = sorted((folder / "samples").glob("0*.png"))
    return np.stack([np.asarray(Image.open(file)) for file in files])


@pytest.mark.parametrize(
    "stage", [KL_SCALAR, KL_CHANNEL, VQ_SCALAR], ids=["kl-scalar", "kl-channel", "vq-scalar"]
)
def test_diffusers_draws_the_pictures_of_the_stage_from_the_same_seeds(stage, tmp_path):
    models = write_models(tmp_path / "models", first_stage(stage), latent_unet(CELEBA))
    said = export_diffusers(SAMPLE, models=models, output=tmp_path / "folder", kind="stock")
    assert "LDMPipeline" in said
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "folder")
    assert type(pipeline) is diffusers.LDMPipeline
    pipeline.set_progress_bar_config(disable=True)
    seeds = [torch.Generator().manual_seed(seed) for seed in range(5, 8)]
    options = {"batch_size": 3, "generator": seeds, "num_inference_steps": 4}
    drawn = pipeline(**options, output_type="np").images
    expected = draw_by_stage(models, tmp_path)
    assert expected.std() > 5
    np.testing.assert_allclose(drawn * 255, expected, atol=0.55)  # half a level, for rounding


def test_a_unet_that_diffusers_lacks_comes_in_a_file_of_its_own(tmp_path):
    """8 heads at every width; the file needs diffusers, and not this package."""
    unet = latent_unet(replace(CELEBA, name="inpainting_big"))
    models = write_models(tmp_path / "models", first_stage(KL_SCALAR), unet)
    said = export_diffusers(SAMPLE, models=models, output=tmp_path / "folder", kind="stock")
    assert "trust_remote_code=True, for unet/unet_with_heads.py" in said
    assert "pdm" not in (tmp_path / "folder/unet/unet_with_heads.py").read_text()
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        tmp_path / "folder", trust_remote_code=True
    )
    assert type(pipeline) is diffusers.LDMPipeline
    assert not type(pipeline.unet).__module__.startswith("pdm")
    pipeline.set_progress_bar_config(disable=True)
    seeds = [torch.Generator().manual_seed(seed) for seed in range(5, 8)]
    options = {"batch_size": 3, "generator": seeds, "num_inference_steps": 4}
    drawn = pipeline(**options, output_type="np").images
    np.testing.assert_allclose(drawn * 255, draw_by_stage(models, tmp_path), atol=0.55)


def test_weights_keep_their_names_and_values(tmp_path):
    stage, unet = first_stage(KL_SCALAR), latent_unet(CELEBA)
    models = write_models(tmp_path / "models", stage, unet)
    export_diffusers(SAMPLE, models=models, output=tmp_path / "folder")
    for name, network in (("unet", unet.network), ("vqvae", stage.network)):
        found = load_file(tmp_path / "folder" / name / "diffusion_pytorch_model.safetensors")
        expected = network.state_dict()
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], expected[key]) for key in found)


def test_all_that_pictures_depend_on_is_stated(tmp_path):
    stage = first_stage(KL_SCALAR)
    models = write_models(tmp_path / "models", stage, latent_unet(CELEBA))
    export_diffusers(SAMPLE, models=models, output=tmp_path / "folder")
    scheduler = json.loads((tmp_path / "folder/scheduler/scheduler_config.json").read_text())
    stated = {
        "num_train_timesteps": 1000,
        "beta_start": 0.0015,
        "beta_end": 0.0195,
        "beta_schedule": "scaled_linear",
        "prediction_type": "epsilon",
        "timestep_spacing": "trailing",
        "clip_sample": False,
        "set_alpha_to_one": True,
        "steps_offset": 0,
    }
    assert stated.items() <= scheduler.items()
    vqvae = json.loads((tmp_path / "folder/vqvae/config.json").read_text())
    assert vqvae["scaling_factor"] == pytest.approx(1 / float(stage.std_0[0]))


def test_heads_of_a_network_with_one_attention_width_are_kept(tmp_path):
    unet = latent_unet(replace(CELEBA, name="semantic"))
    models = write_models(tmp_path / "models", first_stage(KL_SCALAR), unet)
    export_diffusers(SAMPLE, models=models, output=tmp_path / "folder", kind="stock")
    loaded = diffusers.UNet2DModel.from_pretrained(tmp_path / "folder" / "unet")
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(loaded(x, 3).sample, unet.network(x, 3).sample)


def test_the_ema_that_the_params_name_is_exported_with_the_list_of_pictures(tmp_path):
    unet = latent_unet(CELEBA)
    models = write_models(tmp_path / "models", first_stage(KL_SCALAR), unet)
    (models / "diffusion" / "pictures.txt").write_text("listed\n")
    (models / "diffusion" / "ema").mkdir()
    for length in (0.05, 0.1):
        path = models / "diffusion" / "ema" / ema.snapshot_name(64, length)
        ema.write_snapshot(path, {name: 0 * one for name, one in unet.named_parameters()})
    config = replace(SAMPLE, ema_length=0.1)
    export_diffusers(config, models=models, output=tmp_path / "folder", kind="stock")
    found = load_file(tmp_path / "folder/unet/diffusion_pytorch_model.safetensors")
    assert not any(weight.any() for weight in found.values())
    assert (tmp_path / "folder" / "pictures.txt").read_text() == "listed\n"
    for each, kept in ((SAMPLE, False), (config, True)):  # a folder is replaced
        export_diffusers(each, models=models, output=tmp_path / "folder", kind="custom")
        assert (tmp_path / "folder" / "diffusion" / "ema").exists() == kept


MASKS = InpaintingTask(kind="inpainting", mask_shapes=("circle",), min_share=0.1, max_share=0.3)


@pytest.mark.parametrize(
    ("stage", "unet", "size", "task", "reason"),
    [
        (KL_SCALAR, replace(CELEBA, predicts="velocity"), (32, 32), None, "predicts the velocity"),
        (KL_SCALAR, CELEBA, (32, 64), None, "squares only, not latents of 16x8"),
        (VQ_CHANNEL, CELEBA, (32, 32), None, "latent_scale: channel"),
        (
            KL_SCALAR,
            replace(CELEBA, name="semantic", condition_channels=4),
            (32, 32),
            MASKS,
            "no encoded image",
        ),
    ],
)
def test_a_model_that_diffusers_classes_do_not_fit_is_refused_in_one_line(
    stage, unet, size, task, reason, tmp_path
):
    models = write_models(tmp_path / "models", first_stage(stage), latent_unet(unet), size, task)
    with pytest.raises(BadInput, match=reason) as caught:
        export_diffusers(SAMPLE, models=models, output=tmp_path / "folder", kind="stock")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "folder").exists()


def test_a_model_of_several_sizes_becomes_a_custom_pipeline(tmp_path):
    stage = first_stage(KL_SCALAR)
    sizes = [
        {
            "height_px": height,
            "width_px": 32,
            "level_shapes": stage.level_shapes(height, 32),
            "num_samples": {"train": 1, "val": 1},
        }
        for height in (32, 64)
    ]
    facts = {buckets.FACT: sizes}
    models = write_models(tmp_path / "models", stage, latent_unet(CELEBA), **facts)
    said = export_diffusers(SAMPLE, models=models, output=tmp_path / "folder")
    assert "a custom pipeline, since it was trained at several sizes" in said


def test_a_folder_that_is_something_else_is_not_replaced(tmp_path):
    models = write_models(tmp_path / "models", *pyramid())
    (tmp_path / "notes").mkdir()
    for output, fault in ((tmp_path / "notes", "not a pipeline folder"), (models, "lie within")):
        with pytest.raises(BadInput, match=fault):
            export_diffusers(SAMPLE, models=models, output=output)


def test_models_of_different_runs_are_refused(tmp_path):
    models = write_models(tmp_path / "models", *pyramid())
    first_stage(KL_SCALAR).save_pretrained(models / "autoencoder")
    with pytest.raises(BadInput, match="was not trained on latents of"):
        export_diffusers(SAMPLE, models=models, output=tmp_path / "folder")


def test_the_command_says_what_it_wrote_and_how_to_load_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_models(tmp_path / "models", first_stage(KL_SCALAR), latent_unet(CELEBA))
    main(["export", "diffusers", "--output", "folder"])
    assert "folder: diffusers' own LDMPipeline" in capsys.readouterr().out
    missing = ["export", "diffusers", "--output", "folder", "--models", "missing"]
    assert main(missing) == 2
    assert "missing lacks a trained model" in capsys.readouterr().err
