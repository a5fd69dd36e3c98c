"""What a training is predicted to take, against what it takes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from measured_step import levels_of, load

from pdm.config.training.init_from import InitFromConfig
from pdm.config.training.lora import LoraConfig
from pdm.registry import build_autoencoder
from pdm.training.distillation.footprint import distillation_footprint
from pdm.training.monitoring.cost.footprint import autoencoder_footprint, diffusion_footprint
from pdm.training.monitoring.cost.live_memory import LiveMemory, without_values
from tests.inference.tiny_chain import AUTOENCODER, DIFFUSION

DISTIL = (
    "diffusion.distil={steps: 4, teacher_steps: 8, total_images: 384, batch_size: 8, "
    "learning_rate: 2.0e-4, ema_half_life_images: 40}"
)
MEASURE = Path(__file__).parent / "measured_step.py"
SHAPES, DOWNSAMPLINGS = ((4, 1, 1), (4, 4, 4), (4, 8, 8)), ("global", 8, 4)


def assert_memory_is_predicted(stage, *assignments):
    config = load(assignments)
    if stage == "autoencoder":
        predicted = autoencoder_footprint(config.autoencoder)
    else:
        predict = distillation_footprint if stage == "distillation" else diffusion_footprint
        predicted = predict(config.diffusion, *levels_of(config))
    command = [sys.executable, str(MEASURE), stage, *assignments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert predicted.host_bytes == pytest.approx(int(done.stdout.split()[-1]), rel=0.15)


def test_the_memory_of_the_default_diffusion_training_is_predicted_within_15_percent():
    assert_memory_is_predicted("diffusion")


@pytest.mark.slow
def test_the_memory_of_a_distillation_is_predicted_within_15_percent():
    assert_memory_is_predicted("distillation", DISTIL)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("stage", ["autoencoder", "diffusion"])
def test_the_memory_of_trainings_is_predicted_within_15_percent(stage, precision):
    assert_memory_is_predicted(
        stage, f"{stage}.training.precision={precision}", f"{stage}.training.batch_size=16"
    )


def parts(**changes):
    training = replace(DIFFUSION.training, **changes)
    found = diffusion_footprint(replace(DIFFUSION, training=training), SHAPES, DOWNSAMPLINGS)
    return found.memory


def test_each_part_follows_from_the_parameters():
    found = diffusion_footprint(DIFFUSION, SHAPES, DOWNSAMPLINGS)
    size = 4 * found.parameters
    assert found.memory["gradients"] == size
    assert found.memory["optimizer"] == 2 * size
    assert found.memory["EMA"] == 3 * size  # one with a half-life, two with lengths
    assert found.memory["checkpoint"] == (1 + 2 + 3) * size
    assert found.memory["weights"] == pytest.approx(size, rel=0.2)  # and the norms' estimates


def test_adapters_alone_have_gradients_and_moments():
    origin = InitFromConfig(path="other", sha256="a" * 64)
    tuned = replace(DIFFUSION, init_from=origin, lora=LoraConfig(rank=2, alpha=2.0))
    found, full = (diffusion_footprint(one, SHAPES, DOWNSAMPLINGS) for one in (tuned, DIFFUSION))
    size = 4 * found.parameters
    assert 0 < found.parameters < 0.2 * full.parameters
    assert found.memory["gradients"] == size
    assert found.memory["optimizer"] == 2 * size
    assert found.memory["weights"] > 4 * full.parameters  # the frozen network, and the adapters
    assert found.memory["EMA"] == 3 * (4 * full.parameters + size)


def test_frozen_weights_are_sharded_like_those_that_train():
    origin = InitFromConfig(path="other", sha256="a" * 64)
    training = replace(DIFFUSION.training, num_workers=2)
    tuned = replace(DIFFUSION, init_from=origin, lora=LoraConfig(rank=2, alpha=2.0))
    whole, sharded = (
        diffusion_footprint(
            replace(tuned, training=replace(training, strategy=strategy)), SHAPES, DOWNSAMPLINGS
        ).memory
        for strategy in ("ddp", "fsdp")
    )
    for part in ("weights", "gradients", "optimizer", "checkpoint"):
        assert sharded[part] == pytest.approx(whole[part] / 2, rel=0.02)


def test_recomputed_activations_and_smaller_passes_take_less():
    whole = parts()["activations"]
    assert parts(checkpoint_activations=True)["activations"] < 0.8 * whole
    assert parts(accumulation=2)["activations"] < 0.8 * whole


def test_an_autoencoder_counts_its_discriminator():
    """That of the default, which every dry run predicts."""
    section = load([]).autoencoder
    with_one = autoencoder_footprint(section, 2)
    without = autoencoder_footprint(replace(section, adversarial=None), 2)
    assert with_one.flops_per_step > without.flops_per_step
    assert with_one.memory["activations"] > without.memory["activations"]


def test_an_autoencoder_counts_its_frozen_judge_and_its_pictures():
    found = autoencoder_footprint(AUTOENCODER)
    trained = sum(weight.numel() for weight in build_autoencoder(AUTOENCODER).parameters())
    assert found.parameters == trained
    assert found.inputs == ((3, AUTOENCODER.image_height_px, AUTOENCODER.image_width_px),)
    training = AUTOENCODER.training
    assert found.images_per_step == training.batch_size
    in_all = found.flops_per_step / training.batch_size * training.total_images
    assert f"{in_all:.3g} in all {training.total_images:,} images" in str(found)


def test_memory_is_that_of_tensors_which_live_at_the_same_time():
    memory = LiveMemory()
    with without_values(), memory:
        first = torch.empty(1000)
        first = first + 1  # both live for a moment
        view = first[:10]
    assert memory.peak == 8000
    assert memory.total == 4000
    del first
    assert memory.total == 4000  # the view keeps it
    del view
    assert memory.total == 0
