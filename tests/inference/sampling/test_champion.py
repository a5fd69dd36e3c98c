"""The champion of a registry draws what the stage `sample` drew."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_chain import SAMPLE, sample_from

from pdm.errors import BadInput
from pdm.inference.champion import load_champion, load_champion_folder
from pdm.scores.names import RANDOM_SCORE
from pdm.tracking.track import track


@pytest.fixture
def samples(chain, tmp_path):
    sample_from(chain, SAMPLE, tmp_path / "samples")
    return tmp_path / "samples"


def test_one_line_loads_the_champion_and_it_draws_the_same_pictures(
    chain, samples, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    found = {"data_sha256": "v", "seed": 0, "num_replicates": 2, "scores": {RANDOM_SCORE: [1, 2]}}
    Path("replicates.json").write_text(json.dumps(found))
    with track("evaluate", SAMPLE) as tracked:
        tracked.log_scores({RANDOM_SCORE: 1.5})
        tracked.log_pictures(Path("replicates.json"))
        tracked.log_samples(samples)
        tracked.register_candidate(chain.autoencoder, chain.diffusion)
    [picture] = load_champion().draw([SAMPLE.seed + 1])
    with Image.open(samples / "000001.png") as expected:
        # Two pictures were drawn at once there: sums in another order.
        assert np.abs(np.asarray(expected).astype(int) - picture).max() <= 1


def test_a_folder_that_does_not_say_how_to_draw_is_refused(chain, tmp_path):
    (tmp_path / "autoencoder").symlink_to(chain.autoencoder)
    (tmp_path / "diffusion").symlink_to(chain.diffusion)
    (tmp_path / "samples.json").write_text('{"sampler": "euler"}')
    with pytest.raises(BadInput, match="lacks sampling settings"):
        load_champion_folder(tmp_path)


def test_a_folder_without_a_database_has_no_champion_and_gets_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(BadInput, match=r"database mlflow\.db does not exist, so it has no"):
        load_champion()
    assert not list(tmp_path.iterdir())
