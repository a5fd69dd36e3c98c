"""A training that diverges shortly before its end publishes nothing, and says why."""

from dataclasses import replace

import pytest
from tiny_chain import AUTOENCODER, TRAINING, Chain

from pdm.errors import QualityGate
from pdm.training import autoencoder
from pdm.training.distributed.launchers import launch_in_process

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_diverged_autoencoder_is_not_published(chain: Chain, tmp_path):
    training = replace(
        TRAINING, learning_rate=1e8, warmup_images=0, total_images=16, max_skipped_steps=100
    )
    with pytest.raises(QualityGate, match="after 16 images are not finite"):
        autoencoder.train_autoencoder(
            replace(AUTOENCODER, training=training),
            shards=chain.shards,
            run=tmp_path / "run",
            model=tmp_path / "model",
            curves=tmp_path / "curves.csv",
            launch=launch_in_process,
        )
    assert not (tmp_path / "model").exists()
