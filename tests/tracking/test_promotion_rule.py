import numpy as np
import pytest

from pdm.scores.names import RANDOM_SCORE
from pdm.tracking.registry.promotion import EXPECTED, SHARE, Scored, decide
from pdm.tracking.registry.replicates import Replicates

COPIES = f"memorisation/by_pixels/{SHARE}"
UNSEEN = f"memorisation/by_pixels/{EXPECTED}"


def scored(score, name="version 2", copies=0.0, version="v", seed=0, **setting):
    moves = np.random.default_rng(0).normal(0, 1, 200)  # the same for all: it cancels
    own = np.random.default_rng(round(1000 * score)).normal(0, 0.05, 200)
    values = (score + moves + own - own.mean()).tolist()
    return Scored(
        name,
        {"num_features": "64", "batch_size": "1"} | setting,
        {RANDOM_SCORE: score, COPIES: copies, UNSEEN: 0.05},
        Replicates(version, (seed, 200), {RANDOM_SCORE: values}),
    )


CHAMPION = scored(4.0, "version 1", copies=0.1)


def test_the_first_model_is_the_champion():
    decision = decide(scored(3.0), None)
    assert decision.outcome == "promoted"
    assert "no champion before" in decision.reason


def test_a_model_that_is_better_beyond_chance_takes_the_place_and_the_reason_has_the_numbers():
    decision = decide(scored(3.0), CHAMPION)
    assert decision.outcome == "promoted"
    assert "3 against 4, 95 % interval of the difference [-1." in decision.reason


@pytest.mark.parametrize("score", [3.99, 4.0, 5.0])
def test_a_model_that_is_not_better_beyond_chance_is_refused(score):
    decision = decide(scored(score), CHAMPION)
    assert decision.outcome == "refused"
    assert "not better than version 1 beyond chance" in decision.reason


def test_a_model_scored_on_other_data_is_refused_with_what_to_do():
    decision = decide(scored(1.0, version="w"), CHAMPION)
    assert decision.outcome == "refused"
    assert "another version of the data" in decision.reason
    assert "evaluate the champion's models" in decision.reason


@pytest.mark.parametrize(
    ("candidate", "word"),
    [
        (scored(1.0, seed=1), "another seed"),
        (scored(1.0, num_features="32"), "num_features differ"),
        (scored(1.0, **{"pyramid.picture_size": "64x32"}), "picture_size differ"),
    ],
)
def test_a_model_scored_in_another_way_is_refused(candidate, word):
    decision = decide(candidate, CHAMPION)
    assert decision.outcome == "refused"
    assert word in decision.reason


def test_a_setting_that_changes_no_score_does_not_matter():
    assert decide(scored(1.0, batch_size="9"), CHAMPION).outcome == "promoted"


@pytest.mark.parametrize(
    ("copies", "outcome"),
    [(0.0, "promoted"), (0.1, "promoted"), (0.11, "refused"), (1.0, "refused")],
)
def test_a_model_that_copies_more_is_refused_however_good_its_score(copies, outcome):
    decision = decide(scored(0.1, copies=copies), CHAMPION)
    assert decision.outcome == outcome
    assert ("copies of training images" in decision.reason) == (outcome == "refused")


def test_a_share_that_pictures_never_seen_have_too_is_no_copying():
    champion = scored(4.0, copies=0.0)
    assert decide(scored(1.0, copies=0.05), champion).outcome == "promoted"
    assert decide(scored(1.0, copies=0.06), champion).outcome == "refused"


def test_without_replicates_nothing_is_promoted():
    bare = Scored("version 2", {}, {RANDOM_SCORE: 1.0}, None)
    assert decide(bare, CHAMPION).outcome == "refused"
    assert decide(scored(1.0), bare).outcome == "refused"


# distances by a trained network

LEARNED_NAME = "kernel_efficientnet_lite1/samples_vs_val"


def learned(random, kernel, name="version 2"):
    plain = scored(random, name)
    values = (kernel + np.random.default_rng(round(1000 * kernel)).normal(0, 0.001, 200)).tolist()
    replicates = dict(plain.replicates.scores) | {LEARNED_NAME: values}
    return Scored(
        name,
        plain.setting,
        dict(plain.scores) | {LEARNED_NAME: kernel},
        Replicates("v", (0, 200), replicates),
    )


@pytest.mark.parametrize(("kernel", "outcome"), [(0.03, "promoted"), (0.2, "refused")])
def test_a_trained_network_decides_and_not_random_features(kernel, outcome):
    """Random features say the opposite here."""
    random = 9.0 if outcome == "promoted" else 1.0
    decision = decide(learned(random, kernel), learned(4.0, 0.1, "version 1"))
    assert decision.outcome == outcome
    assert LEARNED_NAME in decision.reason


@pytest.mark.parametrize("turned", [False, True])
def test_models_scored_by_different_networks_are_not_compared(turned):
    pair = [scored(1.0), learned(4.0, 0.1)]
    decision = decide(*(reversed(pair) if turned else pair))
    assert decision.outcome == "refused"
    assert "was scored by" in decision.reason
