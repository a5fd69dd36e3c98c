"""`training.compile`: from the fourth step on, nothing may be compiled again."""

import itertools
from dataclasses import replace

import pytest
import torch
from test_host_syncs import autoencoder_steps, diffusion_steps
from test_versions import AUTOENCODERS
from tiny_chain import AUTOENCODER, DIFFUSION
from torch._dynamo.testing import CompileCounterWithBackend

from pdm.models.regions import random_region
from pdm.training.loop.compilation import compile_blocks
from pdm.training.objectives.losses import Plan

CPU = torch.device("cpu")
NUM_STEPS = 7
NO_DROPOUT = replace(DIFFUSION, model=replace(DIFFUSION.model, dropout=(0.0, 0.0)))


def own_times(steps, batch):
    """Times at which other levels have begun in each step."""
    data, noise, times, weights, left = batch
    for number in itertools.count():
        begun = torch.arange(times.shape[1]) <= number % times.shape[1]
        yield data, noise, torch.where(begun, 0.3, -0.5).expand_as(times), weights, left


def random_plans(steps, batch):
    """Steps with other prefixes, crops, windows and reductions."""
    images, noise, plan = batch
    generator, size = torch.Generator().manual_seed(0), (16, 32)
    for number in itertools.count():
        region = plan.region and random_region(size, 12, generator)
        crop = random_region((12, 12) if region else size, 12, generator)
        yield images, noise, Plan(1 + number % 3, 2, plan.images_seen, region, crop)


def without_dropout(config):
    rates = (0.0,) * 4
    model = replace(config.model, encoder_dropout=rates, decoder_dropout=rates)
    return replace(config, model=model)


KINDS = {
    "diffusion": (lambda: diffusion_steps(NO_DROPOUT), own_times),
    "autoencoder": (lambda: autoencoder_steps(without_dropout(AUTOENCODER)), random_plans),
    "crops": (
        lambda: autoencoder_steps(without_dropout(AUTOENCODERS["adversarial"])),
        random_plans,
    ),
}


def with_other_batches(build, vary):
    steps = build()
    _, first = next(steps.batches)
    positions = (range(start, start + 2) for start in itertools.count(0, 2))
    steps.batches = zip(positions, vary(steps, first), strict=False)
    return steps


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_blocks_are_compiled_in_the_first_steps_only_and_learn_the_same(kind):
    plain, compiled = (with_other_batches(*KINDS[kind]) for _ in range(2))
    counter = CompileCounterWithBackend("aot_eager")  # traces all, and generates no code
    compile_blocks(compiled.state.model, CPU, backend=counter)
    counts = []
    for _ in range(NUM_STEPS):
        plain.advance()
        compiled.advance()
        counts.append(counter.frame_count)
    assert counts[0] > 0
    assert counts[3:] == [counts[2]] * (NUM_STEPS - 3)
    for found, expected in zip(
        compiled.state.model.parameters(), plain.state.model.parameters(), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
