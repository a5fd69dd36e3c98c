import copy
import time
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils import parametrizations

from pdm.config.stages.autoencoder import AdversarialConfig, PerceptualConfig
from pdm.registry import build_autoencoder, build_denoiser
from pdm.training.distributed.workers import Workers
from pdm.training.monitoring.cost.example_batches import autoencoder_batch, diffusion_batch
from pdm.training.monitoring.cost.flops import Counter
from pdm.training.monitoring.cost.utilisation import flops_per_image, matrix_rate
from pdm.training.monitoring.meters import Meters
from pdm.training.objectives.adversarial import build_adversary
from pdm.training.objectives.losses import AutoencoderLosses, FlowLosses
from pdm.training.objectives.perceptual import PerceptualLoss, load_perceptual
from tests.inference.tiny_chain import AUTOENCODER, DIFFUSION

CPU = Workers(torch.device("cpu"))


def fresh() -> Meters:
    return Meters(torch.device("cpu"), torch.float32)


def test_what_could_not_be_measured_counts_neither_way():
    meters = fresh()
    for values in ([1.0, float("nan")], [3.0, 8.0]):
        meters.add({"loss_time": torch.tensor(values)})
    found = meters.read(CPU)
    assert (found["loss_time_0"], found["loss_time_1"]) == (2.0, 8.0)


def test_time_is_logged_by_activity():
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


class Distance(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3)

    def forward(self, one, other):
        return (self.layer(one) - self.layer(other)).square().mean((1, 2, 3))


def test_utilisation_is_left_out_where_the_operations_are_not_known():
    meters = fresh()
    meters.count(10, grad_norm=torch.tensor(1.0))
    assert "flops_utilisation" not in meters.read(CPU)


def test_a_pass_is_counted_forward_and_back_and_leaves_no_trace():
    torch.manual_seed(0)
    network, batch = Losses(), (torch.randn(10, 64, device="meta"),)
    before = copy.deepcopy(network)
    # Forward, and backward for weights and inputs.
    assert flops_per_image(network, batch) == pytest.approx(3 * (2 * 64 * 32), rel=0.15)
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    assert all(weight.grad is None for weight in network.parameters())
    assert [part.training for part in network.modules()] == [
        part.training for part in before.modules()
    ]


PATCH = AdversarialConfig(start_images=0, weight=0.5, width=8, num_layers=1, learning_rate=1e-4)


@pytest.mark.parametrize(
    "adversarial", [None, PATCH, replace(PATCH, kind="projected", num_layers=None)]
)
def test_the_operations_of_all_losses_are_counted_as_on_the_training_device(adversarial):
    perceptual = PerceptualLoss(torch.jit.script(Distance()), 1.0)
    config = AUTOENCODER
    if adversarial is not None and adversarial.kind == "projected":
        named = PerceptualConfig(network="efficientnet-lite0", weight=1.0)
        config = replace(config, perceptual=named)
        perceptual = load_perceptual(named, torch.device("cpu"))
    config = replace(config, adversarial=adversarial)
    model = build_autoencoder(config)
    losses = AutoencoderLosses(model, config, perceptual, build_adversary(config, perceptual))
    images, noise, plan = autoencoder_batch(config, model, 4)
    real = torch.randn(images.shape), tuple(torch.randn(level.shape) for level in noise), plan
    counter = Counter()
    with sdpa_kernel(SDPBackend.MATH), counter:  # torch has no formula for the CPU's fused kernel
        losses(*real)
    assert flops_per_image(losses, (images, noise, plan)) == 3 * counter.total / 4


def test_a_network_whose_operations_cannot_be_counted_is_reported(caplog):
    class Choosing(Losses):
        def forward(self, x):
            return super().forward(x) if x.sum() > 0 else {}

    assert flops_per_image(Choosing(), (torch.randn(10, 64, device="meta"),)) is None
    assert "no flops_utilisation in the log" in caplog.text


def test_a_rate_is_measured_in_the_type_that_is_trained_in():
    assert matrix_rate(torch.device("cpu"), torch.bfloat16) > 1e9


def test_the_operations_of_a_denoiser_with_windows_are_counted_as_on_the_training_device():
    shapes = ((4, 1, 1), (4, 4, 4), (4, 8, 8))
    network = FlowLosses(
        build_denoiser(DIFFUSION, (4, 4, 4), ("global", 8, 4)), DIFFUSION.level_loss_weights
    )
    data, noise, times, weights, left, _ = diffusion_batch(DIFFUSION, shapes, 4)
    pyramids = [tuple(torch.randn(level.shape) for level in part) for part in (data, noise)]
    counter = Counter()
    with sdpa_kernel(SDPBackend.MATH), counter:
        network(*pyramids, torch.rand(times.shape), torch.ones(weights.shape), torch.ones(4))
    counted = flops_per_image(network, (data, noise, times, weights, left))
    assert counted == 3 * counter.total / 4
