import copy
import time

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from pdm.training.distributed.workers import Workers
from pdm.training.monitoring.meters import Meters
from pdm.training.monitoring.utilisation import flops_of_pass, matrix_rate

CPU = Workers(torch.device("cpu"))


def fresh() -> Meters:
    return Meters(torch.device("cpu"), torch.float32)


def test_what_could_not_be_measured_counts_neither_way():
    meters = fresh()
    for values in ([1.0, float("nan")], [3.0, 8.0]):
        meters.add({"loss_time": torch.tensor(values)})
    found = meters.read(CPU)
    assert (found["loss_time_0"], found["loss_time_1"]) == (2.0, 8.0)


def test_time_is_stated_by_what_it_was_spent_on():
    meters = fresh()
    meters.count(8, grad_norm=torch.tensor(1.0))
    meters.read(CPU)
    with meters.timing("saving"):
        time.sleep(0.1)
    time.sleep(0.1)
    meters.count(8, grad_norm=torch.tensor(1.0))
    found = meters.read(CPU)
    assert 0.1 < found["saving_fraction"] < 0.8
    assert found["scoring_fraction"] == 0
    assert 10 < found["images_per_second"] < 41


def test_utilisation_is_counted_operations_over_the_measured_rate():
    meters = fresh()
    meters.set_flops(1e6)
    meters.count(10, grad_norm=torch.tensor(1.0))
    found = meters.read(CPU)
    rate = 1e6 * found["images_per_second"] / found["flops_utilisation"]
    assert rate == pytest.approx(meters._rate)
    assert rate > 1e9


class Losses(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = parametrizations.spectral_norm(nn.Linear(64, 32))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return {"loss": self.dropout(self.layer(x)).square().mean()}


def test_a_pass_is_counted_forward_and_back_and_leaves_no_trace():
    torch.manual_seed(0)
    network, batch = Losses(), (torch.randn(10, 64),)
    network.layer.eval()
    before = copy.deepcopy(network)
    # There, and back for weights and inputs; then the norm's few.
    assert flops_of_pass(network, batch) == pytest.approx(3 * (2 * 64 * 32) * 10, rel=0.15)
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    assert all(weight.grad is None for weight in network.parameters())
    assert [part.training for part in network.modules()] == [
        part.training for part in before.modules()
    ]


def test_a_rate_is_measured_in_the_type_that_is_trained_in():
    assert matrix_rate(torch.device("cpu"), torch.bfloat16) > 1e9
