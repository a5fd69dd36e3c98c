"""`training.compile`: nothing may be compiled again during a training of the diffusion model."""

from dataclasses import replace

import pytest
import torch
from test_host_syncs import diffusion_steps
from tiny_chain import DIFFUSION
from torch._dynamo.testing import CompileCounterWithBackend


@pytest.mark.slow
def test_the_losses_of_the_diffusion_model_are_compiled_once():
    without_dropout = replace(DIFFUSION.model, dropout=(0.0, 0.0))
    plain, compiled = (diffusion_steps(replace(DIFFUSION, model=without_dropout)) for _ in range(2))
    counter = CompileCounterWithBackend("aot_eager")  # traces all, and generates no code
    compiled.network.compile(backend=counter)
    for _ in range(4):
        plain.advance()
        compiled.advance()
        assert counter.frame_count == 1  # one graph, of the first step
    for found, expected in zip(
        compiled.state.model.parameters(), plain.state.model.parameters(), strict=True
    ):
        torch.testing.assert_close(found, expected)
