"""Scores of the samples at each checkpoint of a diffusion training."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_chain import DIFFUSION, drawn_pictures

from pdm import events
from pdm.config.fingerprint import fingerprint
from pdm.config.stages.evaluate import EvaluateConfig
from pdm.data.shards.latents import LatentShards
from pdm.diffusion.samplers import noise_from_seeds
from pdm.errors import BadInput, Preempted
from pdm.evaluation.features.feature_spaces import feature_spaces
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.reference_distance import NUM_FEATURES, SEED, ReferenceDistance
from pdm.evaluation.stream import StreamedMoments
from pdm.models.unet import PyramidUNet
from pdm.training import diffusion
from pdm.training.checkpoints.run_folder import STOP
from pdm.training.distributed.workers import Workers
from pdm.training.monitoring.samples.grid import SEEDS, flow_sampler
from pdm.training.monitoring.samples.scores import check_split_sizes

SAMPLES, FLOOR = (f"frechet_random_conv/{side}_vs_decoded_val" for side in ("samples", "train"))
EVALUATE = EvaluateConfig(
    num_features=NUM_FEATURES,
    num_projections=1,
    patches_per_image=1,
    crops_per_image=1,
    crop_px=8,
    features=(),
    num_replicates=1,
    num_neighbours=1,
    batch_size=4,
    seed=SEED,
)


def test_the_distance_is_what_evaluate_calls_by_its_name():
    first, second = np.random.default_rng(0).integers(0, 256, (2, 21, 16, 32, 3), dtype=np.uint8)
    second //= 2
    spaces = feature_spaces(EVALUATE, (16, 32), RandomConvFeatures(NUM_FEATURES, SEED), [])
    sides = [StreamedMoments(spaces), StreamedMoments(spaces)]
    for side, pictures in zip(sides, (first, second), strict=True):
        side.add(pictures, np.arange(len(pictures)))
    expected = sides[0].distances(sides[1])[ReferenceDistance.name]
    assert expected > 1
    measure = ReferenceDistance()
    sets = [measure.features(iter(pictures)) for pictures in (first, second)]
    assert measure.distance(*sets) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="at least 2 images; got 1"):
        measure.distance(sets[0], sets[1][:1])


def test_a_model_that_draws_the_held_out_pictures_has_no_distance(chain):
    drawn = drawn_pictures(chain, count=2)
    latents = drawn.held_out.batch([0, 1] * (len(SEEDS) // 2))
    noise = noise_from_seeds(SEEDS, drawn.grid.shapes)
    slope = tuple(one - other for one, other in zip(latents, noise, strict=True))
    _, found = drawn.draw(lambda x, t: slope, flow_sampler(None, 3))
    assert found[SAMPLES] == pytest.approx(0, abs=0.01)
    assert found[FLOOR] > 0.1
    _, found = drawn.draw(lambda x, t: tuple(0.5 * level for level in slope), flow_sampler(None, 3))
    assert found[SAMPLES] > 0.1


def test_distances_are_logged_at_every_checkpoint(chain):
    log = events.read(chain.diffusion_run / "events.jsonl")
    logged = [event for event in log if SAMPLES in event.get("values", {})]
    assert [event["images_seen"] for event in logged] == [16, 32]
    model = PyramidUNet.from_pretrained(chain.diffusion)
    _, again = drawn_pictures(chain).draw(model, flow_sampler(DIFFUSION.model.windows, 3))
    found = {name: logged[-1]["values"][name] for name in again}
    assert found == pytest.approx(again, rel=0.02)  # training lays weights out differently
    values = [event.get("values", {}) for event in log]
    assert max(one.get("scoring_fraction", 0) for one in values) > 0


def test_what_is_drawn_and_compared_changes_nothing_that_is_learnt(chain, tmp_path):
    config = replace(DIFFUSION, score_images=0)
    assert fingerprint(config, "data") == fingerprint(DIFFUSION, "data")
    settings = diffusion.Settings(
        config,
        ReferenceDistance,
        chain.latents,
        tmp_path / "run",
        tmp_path / "model",
        chain.autoencoder,
    )
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    weights = [folder / "model.safetensors" for folder in (chain.diffusion, tmp_path / "model")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    log = events.read(tmp_path / "run" / "events.jsonl")
    assert not any(SAMPLES in event.get("values", {}) for event in log)


def test_a_scored_run_that_is_broken_off_again_and_again_scores_and_learns_the_same(
    chain, tmp_path
):
    folders = (chain.latents, tmp_path / "run", tmp_path / "model", chain.autoencoder)
    settings = diffusion.Settings(DIFFUSION, ReferenceDistance, *folders)
    settings.run.mkdir()
    (settings.run / STOP).touch()  # every training makes one step
    for _ in range(5):
        with pytest.raises(Preempted):
            diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    (settings.run / STOP).unlink()
    diffusion.train_on_worker(settings, Workers(torch.device("cpu")))
    unbroken, resumed = scores(chain.diffusion_run), scores(tmp_path / "run")
    assert [images_seen for images_seen, _ in resumed] == [16, 32]
    for (_, one), (_, other) in zip(unbroken, resumed, strict=True):
        assert one == pytest.approx(other, rel=0.02)  # the chain's worker has more threads
    weights = [folder / "model.safetensors" for folder in (chain.diffusion, tmp_path / "model")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def scores(run):
    """Of each time that a run was scored: images seen, and the distance."""
    found = [event for event in events.read(run / "events.jsonl") if "values" in event]
    return [
        (one["images_seen"], one["values"][SAMPLES]) for one in found if SAMPLES in one["values"]
    ]


def test_too_few_pictures_to_compare_with_are_refused_before_the_training(chain):
    splits = [LatentShards(chain.latents, split) for split in ("train", "val")]
    check_split_sizes(splits, 2)
    splits[1].keys = splits[1].keys[:1]
    check_split_sizes(splits, 0)
    with pytest.raises(BadInput, match=r"score_images is 2, but a split .* has 1 image"):
        check_split_sizes(splits, 2)
    with pytest.raises(ValueError, match="score_images: expected 0, or 2 or more, got 1"):
        replace(DIFFUSION, score_images=1)
