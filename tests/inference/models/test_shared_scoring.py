"""What the workers of a training score together, after each checkpoint and at the end."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from shared.worker_groups import run_group
from tiny_chain import AUTOENCODER, DIFFUSION

from pdm.data.shards import manifest
from pdm.data.shards.images import ImageShards
from pdm.data.shards.latents import LatentShards
from pdm.errors import Unavailable
from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.machine.out_of_memory import explain_out_of_memory
from pdm.registry import load_autoencoder, load_denoiser
from pdm.training.distributed.workers import Workers
from pdm.training.held_out_losses import held_out_losses
from pdm.training.latent_dataset import LatentDataset
from pdm.training.latent_space.measure import latent_statistics
from pdm.training.monitoring import held_out as held_out_module
from pdm.training.monitoring.held_out import (
    batches,
    psnr_by_prefix,
    reconstruct_held_out,
)
from pdm.training.monitoring.samples.grid import SampleGrid, flow_sampler
from pdm.training.monitoring.samples.scores import SampleScorer

SIZE = (AUTOENCODER.image_height_px, AUTOENCODER.image_width_px)


def score_autoencoder(workers, shards, folder):
    held_out_module.MAX_PIXELS = 1  # one picture at a time, as for 2048x2048
    model, training = load_autoencoder(folder), ImageShards(shards, "train")
    found = reconstruct_held_out(model, training, SIZE, workers)
    return {
        "prefixes": psnr_by_prefix(model, training, SIZE, workers),
        "scores": (found.by_levels, found.complete, found.psnr),
        "sheet": np.array(found.sheet).tobytes(),
        "statistics": [
            values.tolist()
            for part in latent_statistics(model, training, SIZE, workers)
            for values in part
        ],
    }


def score_samples(workers, latents, autoencoder, diffusion):
    facts = manifest.read(latents).facts
    splits = LatentShards(latents, "train"), LatentShards(latents, "val")
    grid = SampleGrid(autoencoder, facts, workers.device)
    scorer = SampleScorer(grid, splits, 17, ReferenceDistance(), workers)
    model = load_denoiser(diffusion)
    sheet, distances = scorer.draw(model, flow_sampler(DIFFUSION.schedule, 3))
    losses = held_out_losses(model, LatentDataset(splits[0], DIFFUSION), DIFFUSION, workers)
    return {"sheet": np.array(sheet).tobytes(), **distances, **losses}


@pytest.mark.parametrize("kind", ["autoencoder", "samples"])
def test_scores_are_equal_for_any_number_of_workers_on_all_of_them(chain, kind):
    if kind == "autoencoder":
        task = score_autoencoder, chain.shards, chain.autoencoder
    else:
        task = score_samples, chain.latents, chain.autoencoder, chain.diffusion
    alone, *shared = [found for count in (1, 3) for found in run_group(count, *task)]
    assert not isinstance(alone, Exception), alone
    assert shared == [alone, alone, alone]


def test_large_pictures_are_scored_one_by_one_and_small_ones_in_batches():
    assert batches(range(3), (2048, 2048)) == [range(0, 1), range(1, 2), range(2, 3)]
    assert batches(range(20), (64, 128)) == [range(0, 16), range(16, 20)]


def test_a_score_is_the_same_whether_or_not_pictures_were_scored_before(chain):
    model, training = load_autoencoder(chain.autoencoder), ImageShards(chain.shards, "train")
    workers = Workers(torch.device("cpu"))
    known = reconstruct_held_out(model, training, SIZE, workers)
    assert len(known.by_levels) == 4
    assert len(known.complete) == len(training) - 4
    anew = psnr_by_prefix(model, training, SIZE, workers)
    completed = psnr_by_prefix(model, training, SIZE, workers, known.by_levels)
    assert completed == pytest.approx(anew, rel=1e-6)
    assert known.psnr == pytest.approx(anew[-1], rel=1e-6)


def test_memory_that_runs_out_while_scoring_gives_advice():
    with (
        pytest.raises(Unavailable, match=r"cpu has too little memory to score .*; use another"),
        explain_out_of_memory(torch.device("cpu"), "to score a picture", "use another machine"),
    ):
        torch.empty(2**60)


def test_the_exported_model_has_the_statistics_of_the_pictures_one_by_one(chain):
    stored = load_file(chain.autoencoder / "model.safetensors")
    model = load_autoencoder(chain.autoencoder)
    shards = ImageShards(chain.shards, "train")
    means, _ = latent_statistics(model, shards, SIZE, Workers(torch.device("cpu")))
    for index, mean in enumerate(means):
        torch.testing.assert_close(stored[f"mean_{index}"], mean, rtol=1e-3, atol=1e-4)
