"""How often pictures are encoded and decoded to score an autoencoder: it takes seconds each where
they are large."""

import contextlib
import json
from collections import Counter
from dataclasses import replace

import pytest
from tiny_chain import AUTOENCODER
from torch.nn.modules.module import register_module_forward_hook

from pdm.data.shards.images import ImageShards
from pdm.models.autoencoder_parts.decoder import Decoder
from pdm.models.autoencoder_parts.encoder import Encoder
from pdm.training.autoencoder import run_folder, train_autoencoder
from pdm.training.checkpoints import finished
from pdm.training.distributed.launchers import launch_in_process
from pdm.training.export import export_autoencoder

ONE_CHECKPOINT = replace(AUTOENCODER.training, total_images=16, save_every_images=16)
CONFIG = replace(AUTOENCODER, training=ONE_CHECKPOINT)
LEVELS = len(CONFIG.model.levels)


@contextlib.contextmanager
def counted():
    """Count pictures that networks in evaluation mode encode or decode, with values."""
    counts = Counter()

    def count(module, inputs, output):
        if isinstance(module, Encoder | Decoder) and not module.training:
            first = inputs[0] if isinstance(module, Encoder) else inputs[0][0]
            counts[type(module).__name__] += len(first) * (not first.is_meta)

    hook = register_module_forward_hook(count)
    try:
        yield counts
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def trained(chain, tmp_path_factory):
    """A finished run, and what its scores have cost."""
    folder = tmp_path_factory.mktemp("trained")
    run = run_folder(CONFIG, shards=chain.shards, runs=folder / "runs")
    outputs = {"model": folder / "model", "curves": folder / "curves.csv"}
    with counted() as counts:
        train_autoencoder(CONFIG, shards=chain.shards, run=run, launch=launch_in_process, **outputs)
    return run, counts


def test_a_checkpoint_and_the_model_made_of_it_are_scored_once(chain, trained):
    _, counts = trained
    num_val, num_train = (len(ImageShards(chain.shards, split)) for split in ("val", "train"))
    # Each held-out picture from every prefix, for the score, the sheet and the model's card; and
    # all pictures once more for the statistics of their latents.
    assert counts == {"Decoder": LEVELS * num_val, "Encoder": num_val + (num_train + num_val)}


def test_the_model_of_a_finished_run_is_exported_without_scoring_it_again(chain, trained, tmp_path):
    run, _ = trained
    with counted() as counts:
        export_autoencoder(
            CONFIG,
            shards=chain.shards,
            runs=run.parent,
            run=None,
            images_seen=None,
            model=tmp_path / "model",
        )
    assert counts == {}
    record, facts = (
        json.loads((folder / "config.json").read_text())
        for folder in (tmp_path / "model", run / "model")
    )
    assert record.pop("run") == run.name
    assert record.pop("score").keys() == {"val_psnr"}
    assert record == facts
    weights = (folder / "model.safetensors" for folder in (tmp_path / "model", run / "model"))
    assert len({file.read_bytes() for file in weights}) == 1


def test_it_equals_what_is_measured_from_the_checkpoint(chain, trained, tmp_path):
    run, _ = trained
    places = {"shards": chain.shards, "runs": run.parent, "run": None, "images_seen": None}
    export_autoencoder(CONFIG, **places, model=tmp_path / "copied")
    (run / finished.FILE_NAME).rename(tmp_path / "hidden.json")
    with counted() as counts:
        export_autoencoder(CONFIG, **places, model=tmp_path / "measured")
    (tmp_path / "hidden.json").rename(run / finished.FILE_NAME)
    assert counts["Decoder"] > 0
    one, other = (
        json.loads((tmp_path / name / "config.json").read_text()) for name in ("copied", "measured")
    )
    for name in ("val_psnr_by_levels", "redundancy_by_level"):
        assert one.pop(name) == pytest.approx(other.pop(name), rel=1e-5)
    assert one == other
