"""The device is named in the first line of each stage that computes with torch."""

import pytest
import torch

from pdm.machine.device import choose_device, describe_device


def test_a_cpu_is_named_with_its_threads():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert describe_device(torch.device("cpu")) == "Device: CPU, 1 thread, float32"
        torch.set_num_threads(2)
        found = describe_device(torch.device("cpu"), "bfloat16", num_workers=4)
        assert found == "Device: CPU, 2 threads, bfloat16, one of 4 workers"
    finally:
        torch.set_num_threads(before)


@pytest.mark.gpu
def test_a_gpu_is_named_with_its_memory():
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU on this machine")
    found = describe_device(choose_device(), "bfloat16")
    assert found.startswith(f"Device: cuda:0 {torch.cuda.get_device_name(0)}, ")
    assert found.endswith(" GiB, bfloat16")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_the_cpu_is_chosen():
    assert choose_device() == torch.device("cpu")
