"""Kernel launches of a training step: on a GPU, many small ones take longer than the work."""

import torch

from benchmarks.parts.training.compiled_launches import kinds_of_blocks
from benchmarks.parts.training.launches import Launches, Step, launches_of_step


def test_a_step_of_the_largest_preset_launches_no_more_kernels_than_it_did():
    assert launches_of_step("model-2048x2048").total <= 2_122


def test_few_kernels_are_launched_outside_of_compiled_blocks():
    _, outside = kinds_of_blocks(Step("model-2048x2048", "bfloat16"))
    assert outside <= 579


def test_views_launch_nothing_and_lists_of_tensors_few_kernels():
    with torch.device("meta"), Launches() as counter:
        tensors = [torch.empty(8, 8) for _ in range(200)]
        assert counter.total == 0
        tensors[0].view(64).add_(1)
        assert counter.total == 1
        torch._foreach_lerp_(tensors, tensors, 0.5)
    assert counter.total == 1 + 4  # two lists: at most 64 tensors each
