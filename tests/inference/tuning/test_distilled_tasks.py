"""Tuning for few steps of flows that draw by text or by maps."""

import contextlib
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import shades
import torch
import yaml
from map_shards import NAMES, write_map_shards
from shades import TASK
from shared.tiny_bert import write_bert
from test_distillation import CONFIG, DISTIL
from tiny_chain import AUTOENCODER, DIFFUSION, LATENTS, SAMPLE, TRAINING, train_autoencoder

from pdm.cli import main
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.latent_unet import LatentUNetConfig
from pdm.config.sampling.prompts import Prompt
from pdm.config.task import SemanticTask
from pdm.data import provenance
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.inference.encode import encode_shards
from pdm.inference.sample import sample_images
from pdm.model_record import record_of
from pdm.params.keys import DEFAULT
from pdm.registry import build_denoiser, load_denoiser
from pdm.tasks.examples import examples_to_preview
from pdm.tasks.find import build_task
from pdm.tasks.text import TextFiles
from pdm.training import autoencoder, diffusion
from pdm.training.distillation import distil_flow, stage, worker
from pdm.training.distillation.settings import Settings
from pdm.training.distillation.student import build_losses
from pdm.training.distillation.trajectory_starts import TrajectoryStarts
from pdm.training.distributed.launchers import launch_in_process
from pdm.training.distributed.workers import Workers
from pdm.weights import FEW_STEPS

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPTS = ("a sunset", "snow")
WITH_PROMPTS = replace(TASK, prompts=PROMPTS)
TEXT = replace(DIFFUSION, task=WITH_PROMPTS, score_images=4)
SEMANTIC = replace(
    CONFIG,
    task=SemanticTask(kind="semantic"),
    model=None,
    baseline=LatentUNetConfig(name="semantic", base_width=32, predicts="velocity"),
    timesteps="uniform",
    level_loss_weights=(1.0,),
    score_images=2,
    training=replace(TRAINING, total_images=8, save_every_images=8),
    distil=replace(DISTIL, total_images=4),
)
CPU = torch.device("cpu")


def distil_text(folder: Path, name: str, config, launch=launch_in_process) -> Path:
    """Tune the flow of a name, trained by `shades.train`."""
    distil_flow(
        replace(config, distil=replace(DISTIL, total_images=8)),
        latents=folder / "latents",
        autoencoder=folder / "autoencoder",
        flow=folder / name,
        run=folder / "runs" / "diffusion" / name / FEW_STEPS / "tuning",
        model=folder / f"{name}-tuned",
        build_reference_distance=ReferenceDistance,
        launch=launch,
    )
    return folder / f"{name}-tuned"


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    """A folder with shards, an autoencoder, latents and a flow of text, hardly trained."""
    folder = tmp_path_factory.mktemp("distilled-text")
    shards = shades.write_shards(folder / "shards")
    config = replace(AUTOENCODER, training=replace(TRAINING, total_images=16))
    settings = autoencoder.Settings(config, shards, folder / "run", folder / "autoencoder")
    autoencoder.train_on_worker(settings, Workers(CPU))
    encode_shards(
        LATENTS, shards=shards, autoencoder=folder / "autoencoder", latents=folder / "latents"
    )
    shades.train(folder, "flow", TEXT)
    return folder


def test_what_is_distilled_are_the_captions_and_not_the_prompts_of_the_samples(text):
    latents = LatentShards(text / "latents", "train")
    task = build_task(WITH_PROMPTS, {}, TextFiles(text / "flow"))
    sizes = load_denoiser(text / "flow").condition_sizes
    config = replace(TEXT, condition_dropout=0.0)
    starts = TrajectoryStarts(latents, config, "trajectories", 1, sizes, task=task)
    _, condition = starts.load(range(20 * len(latents)))
    captions = [one for texts in shades.CAPTIONS.values() for one in texts or ("",)]
    expected = task.condition_of_texts(captions).tokens
    assert {tuple(row) for row in condition.tokens.tolist()} == {
        tuple(row) for row in expected.tolist()
    }


def test_samples_drawn_during_a_training_take_turns_with_the_prompts_if_there_are_any(text):
    held_out = LatentShards(text / "latents", "val")
    for task, expected in (
        (WITH_PROMPTS, [("a sunset",), ("snow",), ("a sunset",)]),
        (TASK, held_out.captions[:3]),
    ):
        found = examples_to_preview(build_task(task, {}), held_out, range(3))
        assert [example.captions for example in found] == expected
    assert build_task(WITH_PROMPTS, {}).prompts == tuple(Prompt(one) for one in PROMPTS)


@pytest.fixture(scope="module")
def tuned(text) -> Path:
    """A folder with an autoencoder and a flow of text that was tuned for four steps."""
    models = text / "models"
    models.mkdir()
    (models / "diffusion").symlink_to(distil_text(text, "flow", TEXT))
    (models / "autoencoder").symlink_to(text / "autoencoder")
    return models


def draw(models: Path, folder: Path, *words: str, guidance_scale: float = 1.0) -> int:
    """Draw by the command."""
    folder.mkdir()
    content = yaml.safe_load(DEFAULT.read_text())
    guide = {"kind": "unconditional"}
    content["sample"] |= {"guidance_scale": guidance_scale, "guide": guide}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    params = ["--params", str(folder / "params.yaml"), "--output", str(folder)]
    return main(["draw", "--models", str(models), *params, *words])


def test_the_command_draws_prompts_in_few_steps_and_the_file_names_the_network(tuned, tmp_path):
    digest = sha256_of(tuned / "diffusion" / FEW_STEPS / "model.safetensors")
    for steps, expected in (("4", digest), ("5", None)):
        assert draw(tuned, tmp_path / steps, "a dark picture", "--steps", steps) == 0
        facts, _ = provenance.read(tmp_path / steps / "a-dark-picture-0.png")
        assert (facts["steps"], facts.get("few_steps_sha256")) == (int(steps), expected)


def test_the_commands_guidance_takes_the_place_of_that_of_the_params(tuned, tmp_path, capsys):
    words = ("a dark picture", "--steps", "4")
    assert draw(tuned, tmp_path / "params", *words, guidance_scale=3.0) == 2
    assert "sample.guidance_scale is 3.0" in capsys.readouterr().err
    assert draw(tuned, tmp_path / "own", *words, "--guidance", "1", guidance_scale=3.0) == 0
    assert draw(tuned, tmp_path / "none", *words) == 0
    own, none = (
        provenance.read(tmp_path / name / "a-dark-picture-0.png")[0] for name in ("own", "none")
    )
    assert own == none
    assert "few_steps_sha256" in own


@pytest.mark.parametrize("option", ["--s 40", "--l 7.5"])
def test_options_that_a_network_for_few_steps_cannot_follow_are_refused(
    option, tuned, tmp_path, capsys
):
    assert draw(tuned, tmp_path / "drawn", f"a lake {option}", "--steps", "4") == 2
    message = (
        f"'a lake' has {option}, but .* distilled for exactly 4 .*; leave out {option[:3]}, or"
    )
    assert re.search(message, capsys.readouterr().err)
    with pytest.raises(BadInput, match=message):
        sample_images(
            replace(SAMPLE, steps=4, prompts=("a lake --s 4 --l 1", f"a lake {option}")),
            autoencoder=tuned / "autoencoder",
            diffusion=tuned / "diffusion",
            shards=tuned.parent / "shards",
            samples=tmp_path / "samples",
        )
    assert not (tmp_path / "samples").exists()


def test_a_frozen_encoder_in_a_relative_folder_is_found_and_runs_once_for_all_batches(
    text, monkeypatch
):
    encoder = replace(write_bert(text / "bert", max_tokens=6), folder="bert")
    config = replace(TEXT, task=replace(WITH_PROMPTS, encoder=encoder))
    shades.train(text, "frozen", config)
    monkeypatch.chdir(text)
    config = replace(config, task=replace(config.task, prompts=("a lake, new since the flow",)))

    def launch_elsewhere(work, settings, **options):
        """As on a cluster, whose workers have another working folder; they load no encoder."""
        monkeypatch.setitem(sys.modules, "transformers", None)
        with contextlib.chdir("/"):
            launch_in_process(work, settings, **options)

    tuned = distil_text(text, "frozen", config, launch_elsewhere)
    assert (tuned / FEW_STEPS / "model.safetensors").is_file()


def test_a_student_of_ldms_network_of_maps_takes_the_classes_of_its_data():
    facts = {"map_classes": NAMES}
    teacher = build_denoiser(SEMANTIC, (3,), (4,), facts)
    student = build_losses(SEMANTIC, teacher, CPU, facts).model
    assert student.condition_sizes == teacher.condition_sizes
    assert student.condition_sizes.map_channels == len(NAMES)


@pytest.mark.slow
def test_ldms_network_of_maps_is_tuned_with_the_classes_of_its_data(tmp_path):
    shards, latents = write_map_shards(tmp_path / "shards"), tmp_path / "latents"
    first_stage = FirstStageConfig(
        name="kl-f4", base_width=8, latent_scale="channel", latent_weight=1e-6
    )
    _, model = train_autoencoder(tmp_path / "autoencoder", shards, baseline=first_stage)
    encode_shards(LATENTS, shards=shards, autoencoder=model, latents=latents)
    flow = tmp_path / "flow"
    settings = diffusion.Settings(
        SEMANTIC, ReferenceDistance, latents, tmp_path / "run", flow, model
    )
    diffusion.train_on_worker(settings, Workers(CPU))
    tuning = Settings(
        stage.distillation_config(SEMANTIC),
        ReferenceDistance,
        *(latents, tmp_path / "run" / FEW_STEPS / "tuning", tmp_path / "tuned", flow, model),
    )
    worker.train_on_worker(tuning, Workers(CPU))
    record = record_of(tmp_path / "tuned" / FEW_STEPS)
    assert record["map_classes"] == NAMES
    assert record["config"]["map_classes"] == len(NAMES)
