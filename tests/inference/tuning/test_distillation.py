"""Tuning of a finished flow for few steps: `diffusion.distil`."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_chain import BY_VELOCITY, DIFFUSION, SAMPLE

from pdm import events
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.stages.sample import GuideConfig
from pdm.config.training.distil import DistilConfig
from pdm.errors import BadInput, Preempted
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.inference.latent_sampling import draw_latents
from pdm.inference.sample import sample_images
from pdm.inference.sampling_networks import load_networks
from pdm.model_record import record_of
from pdm.registry import load_denoiser
from pdm.tracking.records.facts import model_tags
from pdm.training.checkpoints.run_folder import STOP
from pdm.training.distillation import distil_flow, stage, worker
from pdm.training.distillation.settings import Settings
from pdm.training.distributed.launchers import launch_in_process
from pdm.training.distributed.workers import Workers
from pdm.weights import FEW_STEPS

pytestmark = pytest.mark.usefixtures("one_thread")

DISTIL = DistilConfig(
    steps=4,
    teacher_steps=8,
    total_images=16,
    batch_size=4,
    learning_rate=1e-3,
    ema_half_life_images=4,
)
CONFIG = replace(DIFFUSION, distil=DISTIL)
CPU = torch.device("cpu")


def distil(chain, folder: Path, config=CONFIG) -> Path:
    run = folder / "run"
    distil_flow(
        config,
        latents=chain.latents,
        autoencoder=chain.autoencoder,
        flow=chain.diffusion,
        run=run,
        model=folder / "model",
        build_reference_distance=ReferenceDistance,
        launch=launch_in_process,
    )
    return folder / "model"


@pytest.fixture(scope="module")
def distilled(chain, tmp_path_factory):
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # as `one_thread`, which comes later than this fixture
    yield distil(chain, tmp_path_factory.mktemp("distilled"))
    torch.set_num_threads(before)


def test_the_flow_stays_and_the_tuned_network_names_its_teacher(chain, distilled):
    assert (distilled / "model.safetensors").read_bytes() == (
        chain.diffusion / "model.safetensors"
    ).read_bytes()
    teacher = sha256_of(chain.diffusion / "model.safetensors")
    record = record_of(distilled / FEW_STEPS)
    assert record["distilled_from"] == {"sha256": teacher, "images_seen": 32}
    assert (record["images_seen"], len(record["stops"])) == (16, 5)
    card = (distilled / FEW_STEPS / "README.md").read_text()
    assert teacher in card
    assert "for 4 steps" in card
    assert model_tags(distilled / FEW_STEPS)["pyramid.model.distilled_from.sha256"] == teacher
    assert "pyramid.model.distilled_from.sha256" not in model_tags(chain.diffusion)


def test_each_checkpoint_is_scored_and_the_loss_falls(distilled):
    log = events.read(distilled.parent / "run" / "events.jsonl")
    losses = [event["values"]["val_loss"] for event in log if "val_loss" in event.get("values", {})]
    assert len(losses) == 4
    assert losses[-1] < losses[0]


def test_a_stopped_and_resumed_tuning_ends_bit_for_bit_like_an_unbroken_one(
    chain, distilled, tmp_path
):
    settings = Settings(
        stage.distillation_config(CONFIG),
        ReferenceDistance,
        *(chain.latents, tmp_path, tmp_path / "model", chain.diffusion, chain.autoencoder),
    )
    (tmp_path / STOP).touch()
    with pytest.raises(Preempted, match="after 4 of 16"):
        worker.train_on_worker(settings, Workers(CPU))
    (tmp_path / STOP).unlink()
    worker.train_on_worker(settings, Workers(CPU))
    file = f"{FEW_STEPS}/model.safetensors"
    assert (tmp_path / "model" / file).read_bytes() == (distilled / file).read_bytes()


def draw(chain, model: Path, folder: Path, **changes) -> dict:
    sample_images(
        replace(SAMPLE, full_size_picture=False, **changes),
        autoencoder=chain.autoencoder,
        diffusion=model,
        shards=chain.shards,
        samples=folder,
    )
    return json.loads((folder / "samples.json").read_text())


def test_sample_takes_the_tuned_network_with_its_number_of_steps_only(chain, distilled, tmp_path):
    found = draw(chain, distilled, tmp_path / "four", steps=4)
    digest = sha256_of(distilled / FEW_STEPS / "model.safetensors")
    assert found["few_steps_sha256"] == digest
    assert found["diffusion_sha256"] == sha256_of(distilled / "model.safetensors")
    others = {
        "flow": (chain.diffusion, {"steps": 4}),
        "five": (distilled, {"steps": 5}),
        "adaptive": (distilled, {"steps": 4, "sampler": "adaptive"}),
    }
    for name, (model, changes) in others.items():
        assert "few_steps_sha256" not in draw(chain, model, tmp_path / name, **changes)
    four, flow = (
        np.asarray(Image.open(tmp_path / name / "000000.png")) for name in ("four", "flow")
    )
    assert not np.array_equal(four, flow)


def test_a_picture_in_four_steps_takes_four_evaluations_and_no_batch_changes_it(distilled):
    networks = load_networks(distilled, replace(SAMPLE, steps=4), CPU)
    shapes = [tuple(shape) for shape in record_of(distilled)["level_shapes"]]
    calls = []
    networks.network.register_forward_hook(lambda *_: calls.append(1))
    both = draw_latents(networks, SAMPLE, [1, 2], shapes)
    assert len(calls) == 4
    alone = draw_latents(networks, SAMPLE, [2], shapes)
    for pair, one in zip(both, alone, strict=True):
        torch.testing.assert_close(pair[1:], one)


@pytest.mark.parametrize("changes", [{"ema_length": 0.1}, {"guidance_scale": 2.0}])
def test_what_the_tuned_network_cannot_do_is_refused(chain, distilled, tmp_path, changes):
    guide = GuideConfig(kind="ema", ema_length=0.1, images_seen=16)
    [name] = changes
    with pytest.raises(BadInput, match=f"sample.{name} is .* does not support it"):
        draw(chain, distilled, tmp_path / "samples", steps=4, guide=guide, **changes)


def test_ldms_network_is_tuned_too(ldm_by_velocity, tmp_path):
    config = replace(
        CONFIG,
        model=replace(DIFFUSION.model, windows=None),
        baseline=BY_VELOCITY[1],
        timesteps="uniform",
        level_loss_weights=(1.0,),
        distil=replace(DISTIL, total_images=8),
    )
    model = distil(ldm_by_velocity, tmp_path, config)
    before = load_file(model / "model.safetensors")
    after = load_denoiser(model / FEW_STEPS).state_dict()
    assert any(not torch.equal(after[name], tensor) for name, tensor in before.items())
    found = draw(ldm_by_velocity, model, tmp_path / "samples", steps=4, sampler="multistep")
    assert "few_steps_sha256" in found


def test_settings_that_do_not_fit_are_named():
    unet = LatentUNetConfig(name="celeba", base_width=32, predicts="noise")
    with pytest.raises(ValueError, match=r"distil: .*only a flow"):
        replace(
            CONFIG,
            model=None,
            baseline=unet,
            timesteps="ldm",
            level_loss_weights=(1.0,),
        )
    with pytest.raises(ValueError, match="teacher_steps: expected at least steps"):
        replace(DISTIL, teacher_steps=3)
    with pytest.raises(ValueError, match=r"distil.batch_size: .* num_workers x accumulation \(3\)"):
        replace(
            CONFIG,
            training=replace(
                DIFFUSION.training,
                batch_size=12,
                total_images=36,
                log_every_images=12,
                save_every_images=12,
                num_workers=3,
            ),
        )
