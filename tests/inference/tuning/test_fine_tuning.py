"""Trainings that start from a model (`init_from`), as their stages run them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tiny_chain import AUTOENCODER, DIFFUSION, Chain, write_shards

from pdm import events
from pdm.config.fingerprint import fingerprint, neutral_settings
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.training.init_from import InitFromConfig
from pdm.data.shards import listing
from pdm.data.shards.listing import Listed
from pdm.errors import BadInput
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.files import sha256_of
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.launchers import launch_in_process

pytestmark = pytest.mark.usefixtures("one_thread")

NO_STEPS = 1e-12  # a learning rate at which weights stay what they are
BRIEF = replace(AUTOENCODER.training, total_images=16, learning_rate=NO_STEPS)


def source_of(folder: Path) -> InitFromConfig:
    return InitFromConfig(path=str(folder), sha256=sha256_of(folder / "model.safetensors"))


def fine_tune(folder: Path, shards: Path, init_from: InitFromConfig, **changes) -> dict:
    """The stage `autoencoder`; its model's `config.json`."""
    config = replace(AUTOENCODER, init_from=init_from, **{"training": BRIEF} | changes)
    autoencoder.train_autoencoder(
        config,
        shards=shards,
        run=folder / "run",
        model=folder / "model",
        curves=folder / "curves.csv",
        launch=launch_in_process,
    )
    return record_of(folder / "model")


def fine_tune_diffusion(folder: Path, chain: Chain, init_from: InitFromConfig, **changes) -> dict:
    training = replace(DIFFUSION.training, total_images=16, learning_rate=NO_STEPS)
    base = replace(DIFFUSION, score_images=0, training=training)
    diffusion.train_diffusion(
        replace(base, init_from=init_from, **changes),
        latents=chain.latents,
        autoencoder=chain.autoencoder,
        run=folder / "run",
        model=folder / "model",
        curves=folder / "curves.csv",
        build_reference_distance=ReferenceDistance,
        launch=launch_in_process,
    )
    return record_of(folder / "model")


def record_of(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def val_losses(run: Path) -> list[float]:
    found = [event.get("values", {}) for event in events.read(run / "events.jsonl")]
    return [values["val_loss"] for values in found if "val_loss" in values]


def wider(config: AutoencoderConfig = AUTOENCODER):
    return replace(config.model, decoder_widths=(4, 8, 8, 12))


def test_an_autoencoder_starts_with_the_scores_of_its_source(chain, tmp_path, caplog):
    caplog.set_level("INFO", logger="pdm")
    init_from = source_of(chain.autoencoder)
    record = fine_tune(tmp_path, chain.shards, init_from)
    expected = record_of(chain.autoencoder)["val_psnr_by_levels"]
    assert record["val_psnr_by_levels"] == pytest.approx(expected, abs=1e-3)
    counts = record["init_from"]
    assert counts["taken"] == counts["total"] > 0
    assert (counts["path"], counts["sha256"]) == (init_from.path, init_from.sha256)
    assert f"{counts['taken']} of {counts['total']} tensors taken (100.0% of the" in caplog.text
    assert "not taken" not in caplog.text
    assert f"Fine-tuned from the model `{init_from.path}`" in (
        tmp_path / "model" / "README.md"
    ).read_text(encoding="utf-8")


def test_a_model_from_random_weights_does_not_and_says_nothing_of_a_source(chain, tmp_path):
    record = fine_tune(tmp_path, chain.shards, None)
    expected = record_of(chain.autoencoder)["val_psnr_by_levels"]
    assert record["val_psnr_by_levels"] != pytest.approx(expected, abs=1e-2)
    assert "init_from" not in record
    assert "Fine-tuned" not in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


def test_a_source_on_latents_of_another_autoencoder_is_warned_of(chain, tmp_path, caplog):
    other = shutil.copytree(chain.diffusion, tmp_path / "other")
    record = record_of(other) | {"autoencoder_sha256": "0" * 64}
    (other / "config.json").write_text(json.dumps(record))
    fine_tune_diffusion(tmp_path, chain, source_of(other))
    [line] = [line for line in caplog.messages if "another autoencoder" in line]
    assert f"{other} was trained on latents of another autoencoder (sha256 000000000000..." in line
    assert "take the autoencoder that belongs to it" in line


def test_a_diffusion_model_starts_with_the_loss_of_its_source(chain, tmp_path, caplog):
    record = fine_tune_diffusion(tmp_path, chain, source_of(chain.diffusion))
    assert record["init_from"]["taken"] == record["init_from"]["total"] > 0
    expected = val_losses(chain.diffusion_run)[-1]
    assert val_losses(tmp_path / "run")[0] == pytest.approx(expected, abs=1e-4)
    assert "another autoencoder" not in caplog.text


def test_an_autoencoder_is_fine_tuned_for_another_image_size(chain, tmp_path):
    size = {"image_height_px": 32, "image_width_px": 64}
    record = fine_tune(tmp_path, chain.shards, source_of(chain.autoencoder), **size)
    assert record["init_from"]["taken"] == record["init_from"]["total"]
    assert record["image_height_px"] == 32


def test_of_another_width_what_fits_is_taken_and_the_rest_named(chain, tmp_path, caplog):
    caplog.set_level("INFO", logger="pdm")
    record = fine_tune(tmp_path, chain.shards, source_of(chain.autoencoder), model=wider())
    counts = record["init_from"]
    assert 0 < counts["taken"] < counts["total"]
    [line] = [line for line in caplog.messages if "tensors taken" in line]
    assert f"{counts['taken']} of {counts['total']} tensors" in line
    assert "not taken: decoder" in line
    assert "(here 12x" in line
    assert ", there 8x" in line


def test_singular_vectors_are_not_taken_without_their_weight(chain, tmp_path):
    model = replace(DIFFUSION.model, widths=(8, 12))
    record = fine_tune_diffusion(tmp_path, chain, source_of(chain.diffusion), model=model)
    assert 0 < record["init_from"]["taken"] < record["init_from"]["total"]
    losses = val_losses(tmp_path / "run")
    assert all(0 < loss < 10 for loss in losses)


def test_another_digest_a_missing_folder_and_another_kind_are_refused(chain, tmp_path):
    known = source_of(chain.autoencoder)
    other = replace(known, sha256="0" * 64)
    with pytest.raises(BadInput, match=r"autoencoder\.init_from\.path: .* has sha256 .*, but"):
        fine_tune(tmp_path, chain.shards, other)
    missing = replace(known, path=str(tmp_path / "missing"))
    with pytest.raises(
        BadInput, match=r"init_from\.path: .*missing.* cannot be read .*; correct the path"
    ):
        fine_tune(tmp_path, chain.shards, missing)
    with pytest.raises(BadInput, match=r"init_from\.path: .* is a PyramidUNet, not a Pyramid"):
        fine_tune(tmp_path, chain.shards, source_of(chain.diffusion))
    with pytest.raises(BadInput, match=r"diffusion\.init_from\.path: .* is a PyramidAuto"):
        fine_tune_diffusion(tmp_path, chain, known)
    assert not (tmp_path / "model").exists()


def test_a_source_that_has_nothing_in_common_is_refused(chain, tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "config.json").write_bytes((chain.autoencoder / "config.json").read_bytes())
    save_file({"weight": torch.zeros(3)}, folder / "model.safetensors")
    with pytest.raises(BadInput, match=f"no tensor of {folder} fits"):
        fine_tune(tmp_path, chain.shards, source_of(folder))


def test_its_list_of_pictures_is_the_union_with_that_of_its_source(chain, tmp_path):
    shards = write_shards(tmp_path / "shards", first_seed=4)  # other pictures, under other digests
    fine_tune(tmp_path, shards, source_of(chain.autoencoder))
    found = list(listing.read(tmp_path / "model"))
    assert found == sorted({*listing.read(shards), *listing.read(chain.autoencoder)})
    assert len(found) == 14


def test_without_the_list_of_its_source_it_has_no_list_and_warns(chain, tmp_path, caplog):
    source = tmp_path / "source"
    source.mkdir()
    for name in ("config.json", "model.safetensors"):
        (source / name).write_bytes((chain.autoencoder / name).read_bytes())
    fine_tune(tmp_path, chain.shards, source_of(source))
    assert f"{source} has no pictures.txt" in caplog.text
    assert not (tmp_path / "model" / "pictures.txt").exists()


def test_a_picture_held_out_here_and_trained_on_there_counts_as_trained_on(tmp_path):
    lists = {"a": [Listed("1" * 20, "a" * 64, "val")], "b": [Listed("1" * 20, "a" * 64, "train")]}
    for name, listed in lists.items():
        (tmp_path / name).mkdir()
        listing.write(tmp_path / name, listed)
    listing.write_union([tmp_path / "a", tmp_path / "b"], tmp_path)
    assert list(listing.read(tmp_path)) == lists["b"]


def test_a_resumed_fine_tuning_ends_with_the_bits_of_an_unbroken_one(chain, tmp_path, caplog):
    caplog.set_level("INFO", logger="pdm")
    init_from = source_of(chain.autoencoder)
    lengths = {"broken": (16, 32), "unbroken": (32,)}
    for name, each in lengths.items():
        for total_images in each:  # the longer run goes on from the last checkpoint of the shorter
            training = replace(AUTOENCODER.training, total_images=total_images)
            fine_tune(tmp_path / name, chain.shards, init_from, training=training)
    assert sum("tensors taken" in line for line in caplog.messages) == len(lengths)
    for file in ("model.safetensors", "config.json", "pictures.txt", "README.md"):
        broken, unbroken = ((tmp_path / name / "model" / file).read_bytes() for name in lengths)
        assert broken == unbroken


@pytest.mark.parametrize("config", [AUTOENCODER, DIFFUSION], ids=["autoencoder", "diffusion"])
def test_a_source_is_part_of_a_runs_name_and_no_source_keeps_the_name(config):
    assert neutral_settings(config)["init_from"] is None
    names = {fingerprint(config)}
    for digest in ("0" * 64, "1" * 64):
        init_from = InitFromConfig(path="models/other", sha256=digest)
        names.add(fingerprint(replace(config, init_from=init_from)))
    assert len(names) == 3


def test_a_digest_that_is_none_is_refused():
    with pytest.raises(ValueError, match="sha256: expected 64 digits from 0 to f"):
        InitFromConfig(path="models/other", sha256="abc")
