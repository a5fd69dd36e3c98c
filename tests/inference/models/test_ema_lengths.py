"""EMAs whose length is chosen after the training."""

import numpy as np
import pytest
from tiny_chain import SAMPLE

from pdm.errors import BadInput
from pdm.evaluation.learned_distance import LearnedDistance
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.ema_lengths import score_ema_lengths
from pdm.models.features.variants import is_installed


def scores(chain, lengths, num_images=4, **changes):
    folders = {
        "latents": chain.latents,
        "autoencoder": chain.autoencoder,
        "diffusion": chain.diffusion,
    }
    judges = [ReferenceDistance()]
    return list(score_ema_lengths(SAMPLE, lengths, num_images, judges, **(folders | changes)))


def test_each_length_gets_a_distance_of_the_same_seeds(chain):
    found = scores(chain, [None, 0.05, 0.2])
    assert [row.length for row in found] == [None, 0.05, 0.2]
    values = [row.distances[ReferenceDistance.name] for row in found]
    assert all(value > 0 for value in values)
    assert len(set(values)) == 3
    (again,) = scores(chain, [0.2])
    assert again == found[2]


def test_folders_that_do_not_belong_together_are_refused(chain):
    with pytest.raises(BadInput, match="name the one that did"):
        scores(chain, [0.1], autoencoder=chain.diffusion)
    with pytest.raises(BadInput, match="at least 2"):
        scores(chain, [0.1], num_images=1)


@pytest.mark.skipif(not is_installed("efficientnet-lite1"), reason="the package is not installed")
def test_the_learned_distance_of_a_set_from_itself_is_about_zero_and_grows_with_noise():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    flat = np.full((6, 32, 32, 3), 128, np.uint8)
    judge = LearnedDistance("efficientnet-lite1")
    assert judge.name == "kernel_efficientnet_lite1"
    first, second, other = (judge.features(part) for part in (pictures[:6], pictures[6:], flat))
    assert abs(judge.distance(first, second)) < 0.1 * judge.distance(other, second)
