"""Models from any checkpoint that a run keeps: the best, or one by its number of images."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_chain import AUTOENCODER, DIFFUSION, Chain

from pdm import cli, events
from pdm.errors import BadInput, QualityGate
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.registry import load_autoencoder, load_denoiser
from pdm.training import autoencoder, diffusion
from pdm.training.checkpoints import earlier_runs
from pdm.training.distributed.workers import Workers
from pdm.training.export import export_autoencoder, export_diffusion

# The learning rate is so high that an early checkpoint is the best; all are kept.
UNSTABLE = replace(AUTOENCODER.training, learning_rate=0.1, total_images=48, keep_checkpoints=3)
CONFIG = replace(AUTOENCODER, training=UNSTABLE)
DIFFUSION_CONFIG = replace(
    DIFFUSION, score_images=0, training=replace(DIFFUSION.training, keep_checkpoints=3)
)


@dataclass(frozen=True)
class Trained:
    chain: Chain
    folder: Path
    run: Path
    diffusion_run: Path

    def export(self, out: Path, images_seen: int | None = None, run: Path | None = None, **changes):
        places = {"shards": self.chain.shards, "runs": self.folder / "autoencoder"} | changes
        config = places.pop("config", CONFIG)
        return export_autoencoder(config, **places, run=run, images_seen=images_seen, model=out)

    def copy_run(self, folder: Path) -> Path:
        return Path(shutil.copytree(self.run, folder / self.run.name))


@pytest.fixture(scope="module")
def trained(chain, tmp_path_factory) -> Trained:
    """Runs of both models that reached their last image and keep every checkpoint."""
    folder, workers = tmp_path_factory.mktemp("trained"), Workers(torch.device("cpu"))
    (folder / "autoencoder").mkdir()
    (folder / "diffusion").mkdir()
    record = autoencoder.run_record(CONFIG, chain.shards)
    run = folder / "autoencoder" / record.name
    earlier_runs.prepare(run, record, CONFIG)
    autoencoder.train_on_worker(
        autoencoder.Settings(CONFIG, chain.shards, run, run / "model"), workers
    )
    record = diffusion.run_record(DIFFUSION_CONFIG, chain.latents)
    other = folder / "diffusion" / record.name
    earlier_runs.prepare(other, record, DIFFUSION_CONFIG)
    places = (chain.latents, other, other / "model", chain.autoencoder)
    diffusion.train_on_worker(
        diffusion.Settings(DIFFUSION_CONFIG, ReferenceDistance, *places), workers
    )
    return Trained(chain, folder, run, other)


def scores_of(run: Path, metric: str) -> dict[int, float]:
    """By images seen."""
    found = (event for event in events.read(run / "events.jsonl") if event["kind"] == "metrics")
    return {
        event["images_seen"]: event["values"][metric]
        for event in found
        if metric in event["values"]
    }


def assert_is_ema_of(run: Path, images_seen: int, model: torch.nn.Module) -> None:
    ema = load_file(run / "checkpoints" / f"{images_seen:09}" / "ema.safetensors")
    for name, weight in model.named_parameters():
        assert torch.equal(weight, ema[name]), name


def test_the_checkpoint_with_the_best_score_is_exported(trained, tmp_path):
    scores = scores_of(trained.run, "val_psnr")
    best = max(scores, key=scores.__getitem__)
    assert len(scores) == 3
    assert best != max(scores)
    said = trained.export(tmp_path / "best")
    record = json.loads((tmp_path / "best/config.json").read_text())
    assert record["images_seen"] == best
    assert record["run"] == trained.run.name
    assert record["score"] == {"val_psnr": scores[best]}
    assert trained.run.name in said
    assert_is_ema_of(trained.run, best, load_autoencoder(tmp_path / "best"))


def test_so_is_that_of_a_diffusion_model(trained, tmp_path):
    scores = scores_of(trained.diffusion_run, "val_loss")
    best = min(scores, key=scores.__getitem__)
    places = {"latents": trained.chain.latents, "runs": trained.folder / "diffusion", "run": None}
    for images_seen in (None, 16):
        out = tmp_path / str(images_seen)
        export_diffusion(DIFFUSION_CONFIG, **places, images_seen=images_seen, model=out)
        record = json.loads((out / "config.json").read_text())
        expected = images_seen or best
        assert record["images_seen"] == expected
        assert record["score"] == {"val_loss": scores[expected]}
        assert_is_ema_of(trained.diffusion_run, expected, load_denoiser(out))
        assert list((out / "ema").glob(f"{expected:09}-*.safetensors"))


def test_a_chosen_checkpoint_is_exported_and_the_last_one_is_the_model_of_the_stage(
    trained, tmp_path
):
    for images_seen in (32, 48):
        trained.export(tmp_path / "model", images_seen)  # replaces a model of its own kind
        assert_is_ema_of(trained.run, images_seen, load_autoencoder(tmp_path / "model"))
    found, expected = (
        load_file(folder / "model.safetensors")
        for folder in (tmp_path / "model", trained.run / "model")
    )
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name])
    assert (tmp_path / "model/pictures.txt").is_file()


def test_a_named_run_keeps_its_own_settings_with_any_params(trained, tmp_path):
    model = replace(AUTOENCODER.model, encoder_widths=(8, 8, 8, 8))
    lengths = {"total_images": 12, "log_every_images": 6, "save_every_images": 12}
    training = replace(UNSTABLE, batch_size=6, schedule="inverse_root", **lengths)
    other = replace(AUTOENCODER, model=model, training=training, image_width_px=64)
    run = trained.copy_run(tmp_path)
    trained.export(tmp_path / "model", 16, run, config=other)
    assert_is_ema_of(trained.run, 16, load_autoencoder(tmp_path / "model"))
    assert json.loads((tmp_path / "model/config.json").read_text())["image_width_px"] == 32


def test_a_missing_checkpoint_is_refused_with_a_list_of_existing_ones(trained, tmp_path):
    with pytest.raises(BadInput, match=r"no checkpoint at 20 images.*16, 32, 48"):
        trained.export(tmp_path / "model", 20)
    run = trained.copy_run(tmp_path)
    shutil.rmtree(run / "checkpoints" / f"{trained_best(trained):09}")
    with pytest.raises(BadInput, match=r"no best checkpoint at .*choose one"):
        trained.export(tmp_path / "model", None, run)
    assert not (tmp_path / "model").exists()


def trained_best(trained: Trained) -> int:
    scores = scores_of(trained.run, "val_psnr")
    return max(scores, key=scores.__getitem__)


def test_a_run_without_a_score_has_no_best_checkpoint(trained, tmp_path):
    run = trained.copy_run(tmp_path)
    (run / "checkpoints/best.json").unlink()
    with pytest.raises(BadInput, match=r"no checkpoint has a score.*--images.*16, 32, 48"):
        trained.export(tmp_path / "model", None, run)


def test_a_damaged_checkpoint_is_not_exported(trained, tmp_path):
    run = trained.copy_run(tmp_path)
    file = run / "checkpoints/000000032/ema.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(QualityGate, match=r"ema.safetensors does not match"):
        trained.export(tmp_path / "model", 32, run)
    assert not (tmp_path / "model").exists()


def test_a_run_that_does_not_exist_or_is_of_other_data_or_stage_is_refused(trained, tmp_path):
    longer = replace(CONFIG, training=replace(UNSTABLE, total_images=64))
    with pytest.raises(BadInput, match="no run yet"):
        trained.export(tmp_path / "model", config=longer)
    with pytest.raises(BadInput, match="is not a run's folder"):
        trained.export(tmp_path / "model", None, tmp_path)
    with pytest.raises(BadInput, match="a run of the stage diffusion"):
        trained.export(tmp_path / "model", None, trained.diffusion_run)
    shards = Path(shutil.copytree(trained.chain.shards, tmp_path / "shards"))
    manifest = json.loads((shards / "manifest.json").read_text())
    (shards / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BadInput, match="trained on shards of version"):
        trained.export(tmp_path / "model", None, trained.run, shards=shards)


def test_a_run_of_before_run_json_is_refused_with_a_way_that_leads_to_its_model(trained, tmp_path):
    run = trained.copy_run(tmp_path)
    old = run.rename(tmp_path / ("0" * 16))
    (old / "run.json").unlink()
    with pytest.raises(BadInput, match=r"has no run\.json.*without --run.*Rename") as error:
        trained.export(tmp_path / "model", 16, old)
    assert str(old) in str(error.value)
    with pytest.raises(BadInput, match="no run yet") as error:
        trained.export(tmp_path / "model", 16, runs=tmp_path)
    old.rename(str(error.value).split("(")[1].split(" does not exist")[0])
    trained.export(tmp_path / "model", 16, runs=tmp_path)
    assert_is_ema_of(trained.run, 16, load_autoencoder(tmp_path / "model"))


def test_a_run_json_that_cannot_be_read_is_named(trained, tmp_path):
    run = trained.copy_run(tmp_path)
    (run / "run.json").write_text("{")
    with pytest.raises(BadInput, match=r"run\.json cannot be read"):
        trained.export(tmp_path / "model", 16, run)


def test_what_is_no_model_of_the_kind_is_never_replaced(trained, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("keep me")
    for out in (mine, mine / "notes.txt", trained.chain.diffusion):
        with pytest.raises(BadInput, match="exists and is not replaced"):
            trained.export(out)
    with pytest.raises(BadInput, match="is a file"):
        trained.export(mine / "notes.txt" / "model")
    with pytest.raises(BadInput, match="inside the run"):
        trained.export(trained.run / "model")
    assert [path.name for path in mine.iterdir()] == ["notes.txt"]


def test_the_command_exports_and_says_what_is_wrong_in_a_line(trained, tmp_path, capsys):
    places = ["--run", trained.run, "--shards", trained.chain.shards, "--model", tmp_path / "model"]
    words = ["export", "autoencoder", *map(str, places)]
    assert cli.main([*words, "--best"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'model'}: the EMA of run")
    assert_is_ema_of(trained.run, trained_best(trained), load_autoencoder(tmp_path / "model"))
    assert cli.main([*words, "--images", "20"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: no checkpoint at 20 images")
