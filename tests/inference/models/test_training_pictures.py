"""The list of the pictures that a model was trained on: of the latents, and of the autoencoder."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_chain import DIFFUSION, Chain

from pdm.curation.scrape.removal.takedown import report_removed
from pdm.data.shards import listing
from pdm.data.shards.listing import Listed
from pdm.errors import QualityGate
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.training.diffusion import train_diffusion
from pdm.training.distributed.launchers import launch_in_process
from pdm.training.export import export_diffusion

ONLY_IN_AUTOENCODER = Listed("f" * 20, "e" * 64, "train")
CONFIG = replace(
    DIFFUSION, score_images=0, training=replace(DIFFUSION.training, total_images=16, keep_runs=1)
)


def train(chain: Chain, autoencoder: Path, folder: Path) -> Path:
    """The model that the stage `diffusion` writes."""
    train_diffusion(
        CONFIG,
        latents=chain.latents,
        autoencoder=autoencoder,
        run=folder / "runs/run",
        model=folder / "model",
        curves=folder / "curves.csv",
        build_reference_distance=ReferenceDistance,
        launch=launch_in_process,
    )
    return folder / "model"


@pytest.fixture(scope="module")
def other(chain, tmp_path_factory) -> Path:
    """The autoencoder of the chain, as if it had been trained on one more picture."""
    folder = tmp_path_factory.mktemp("autoencoder")
    shutil.copytree(chain.autoencoder, folder, dirs_exist_ok=True)
    listing.write(folder, [*listing.read(chain.autoencoder), ONLY_IN_AUTOENCODER])
    return folder


def test_a_removed_picture_that_only_the_autoencoder_saw_reports_the_diffusion_model_too(
    chain, other, tmp_path, caplog
):
    model = train(chain, other, tmp_path)
    assert set(listing.read(model)) == {*listing.read(chain.latents), ONLY_IN_AUTOENCODER}
    exported = tmp_path / "exported"
    export_diffusion(
        CONFIG,
        latents=chain.latents,
        runs=tmp_path / "runs",
        run=tmp_path / "runs/run",
        images_seen=16,
        model=exported,
    )
    removals = tmp_path / "removed.txt"
    removals.write_text(ONLY_IN_AUTOENCODER.key)
    with pytest.raises(QualityGate, match=r"2 of 3 folders contain removed images"):
        report_removed(
            str(removals),
            [model, exported, chain.latents],
            raw=tmp_path / "raw",
            decisions=tmp_path / "decisions",
        )
    for folder in (model, exported):
        assert f"{folder}: trained on 1 removed image ({ONLY_IN_AUTOENCODER.key})" in caplog.text


def test_with_the_usual_autoencoder_its_list_is_that_of_the_latents(chain, tmp_path):
    model = train(chain, chain.autoencoder, tmp_path)
    assert (model / listing.FILE_NAME).read_bytes() == (
        chain.latents / listing.FILE_NAME
    ).read_bytes()


def test_without_the_list_of_the_autoencoder_it_has_no_list_and_warns(
    chain, other, tmp_path, caplog
):
    folder = Path(shutil.copytree(other, tmp_path / "autoencoder"))
    (folder / listing.FILE_NAME).unlink()
    model = train(chain, folder, tmp_path)
    assert not (model / listing.FILE_NAME).exists()
    assert f"{folder} has no pictures.txt" in caplog.text
