import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from pdm.models.layers.basic import EDGES_ZERO, convolution
from pdm.models.layers.spectral_division import (
    gradients_at_once,
    gradients_one_by_one,
    multiply_at_once,
    multiply_one_by_one,
)
from pdm.models.layers.spectral_norm import (
    bake_spectral_norms,
    rescale_spectral_weights,
    settle_spectral_norms,
    spectral_weights,
    with_spectral_norm,
)
from pdm.training.loop.power_iteration import SpectralNorms

LAYOUTS = (torch.contiguous_format, torch.channels_last)


def network(layer, layout=torch.contiguous_format) -> nn.Sequential:
    torch.manual_seed(0)
    sizes = ((8, 16, 3), (16, 16, 3), (16, 16, 3), (16, 4, 1))
    layers = (layer(nn.Conv2d(*size, padding=size[2] // 2)) for size in sizes)
    return nn.Sequential(*layers).to(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("at_once", [False, True])
def test_weights_gradients_and_singular_vectors_are_those_of_torch(at_once, layout):
    ours, theirs = (
        network(with_spectral_norm, layout),
        network(parametrizations.spectral_norm, layout),
    )
    norms = SpectralNorms(ours, ours) if at_once else None
    for step in range(4):
        if norms is not None:
            norms.iterate()
        torch.manual_seed(step)
        image = torch.randn(2, 8, 8, 8)
        for model in (ours, theirs):
            model.zero_grad()
            loss = model(image).square().mean()
            if norms is not None:
                norms.release()  # the graph keeps what the backward pass needs
            loss.backward()
            torch.optim.SGD(model.parameters(), lr=1.0).step()
        for (name, found), expected in zip(
            ours.named_parameters(), theirs.parameters(), strict=True
        ):
            torch.testing.assert_close(found.grad, expected.grad, msg=name)
        assert ours.state_dict().keys() == theirs.state_dict().keys()
        for name, found in ours.state_dict().items():
            torch.testing.assert_close(found, theirs.state_dict()[name])


def test_the_gradient_is_that_of_the_quotient():
    torch.manual_seed(0)
    layer = with_spectral_norm(nn.Conv2d(3, 4, 3)).double().eval()
    norm, weight = layer.parametrizations.weight[0], layer.parametrizations.weight.original
    for layout in LAYOUTS:
        laid_out = weight.detach().contiguous(memory_format=layout).requires_grad_()
        assert torch.autograd.gradcheck(norm, laid_out)


def test_weights_of_one_shape_get_the_same_on_a_cpu_and_on_devices_that_count_launches():
    torch.manual_seed(0)
    matrices, rows = torch.randn(3, 4, 6), [*torch.randn(3, 4, 6)]
    norms, left, right = torch.rand(3) + 1, torch.randn(3, 4), torch.randn(3, 6)
    for factors, vectors in ((matrices, right), (matrices.mT, left)):
        found, expected = torch.empty(2, *factors.shape[:2])
        multiply_at_once(factors, vectors, found)
        multiply_one_by_one(factors, vectors, expected)
        torch.testing.assert_close(found, expected)
    for weights in (slice(0, 3), slice(0, 1)):
        parts = rows[weights], matrices[weights], norms[weights], left[weights], right[weights]
        for found, expected in zip(
            gradients_at_once(*parts), gradients_one_by_one(*parts), strict=True
        ):
            torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_weights_that_share_memory_keep_their_values_layout_and_names(layout):
    model = network(with_spectral_norm, layout)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    strides = [weight.stride() for weight in model.parameters()]
    SpectralNorms(model, model)
    assert [weight.stride() for weight in model.parameters()] == strides
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert before.keys() == model.state_dict().keys()


def test_weights_divided_in_the_precision_of_the_pass_give_the_same_outputs_and_gradients():
    torch.manual_seed(0)
    image, outputs, gradients = torch.randn(2, 8, 8, 8), [], []
    for dtype in (torch.float32, torch.bfloat16):
        model = network(with_spectral_norm, torch.channels_last)
        SpectralNorms(model, model, dtype).iterate()
        with torch.autocast("cpu", torch.bfloat16):
            output = model(image)
        output.float().square().mean().backward()
        outputs.append(output)
        gradients.append([weight.grad for weight in model.parameters()])
    assert torch.equal(*outputs)
    for found, expected in zip(*gradients, strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected)


def test_passes_use_the_norms_of_the_last_iteration():
    model = network(with_spectral_norm)
    norms, image = SpectralNorms(model, model), torch.randn(2, 8, 8, 8)
    norms.iterate()
    first = model(image)
    assert torch.equal(model(image), first)
    norms.iterate()
    assert not torch.equal(model(image), first)


def test_rescaling_all_weights_at_once_does_what_rescaling_each_does():
    one, other = network(with_spectral_norm), network(with_spectral_norm)
    for model in (one, other):
        with torch.no_grad():
            for weight in spectral_weights(model):
                weight.mul_(3)
    rescale_spectral_weights(spectral_weights(one))
    SpectralNorms(other, other).rescale()
    for weight, expected in zip(spectral_weights(other), spectral_weights(one), strict=True):
        torch.testing.assert_close(weight, expected)


def test_a_network_without_spectral_norm_is_left_as_it_is():
    model = nn.Sequential(nn.Conv2d(3, 3, 1))
    before = copy.deepcopy(model.state_dict())
    norms = SpectralNorms(model, model)
    norms.iterate()
    norms.rescale()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@torch.no_grad()
def test_plain_weights_do_what_normed_ones_do():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        *(convolution(4, 4, side, EDGES_ZERO, spectral_norm=True) for side in (3, 1)),
        torch.nn.Conv2d(4, 2, 1),
    ).eval()
    features = torch.randn(2, 4, 8, 8)
    expected, names = network(features), len(network.state_dict())
    plain = bake_spectral_norms(copy.deepcopy(network))
    assert torch.equal(plain(features), expected)
    assert torch.equal(network(features), expected)  # the original goes on as it was
    assert len(plain.state_dict()) == 6 < names


def test_the_scale_of_a_spectrally_normed_weight_has_no_effect_and_is_set_back():
    torch.manual_seed(0)
    network = settle_spectral_norms(convolution(16, 32, 3, "zeros", spectral_norm=True)).eval()
    weights, image = spectral_weights(network), torch.randn(1, 16, 8, 8)
    before = network(image)
    with torch.no_grad():
        weights[0].mul_(5)
    rescale_spectral_weights(weights)
    torch.testing.assert_close(network(image), before, atol=1e-5, rtol=1e-5)
    fresh = convolution(16, 32, 3, "zeros", spectral_norm=True)
    expected = torch.linalg.vector_norm(spectral_weights(fresh)[0].detach())
    assert torch.linalg.vector_norm(weights[0].detach()) == pytest.approx(float(expected), rel=0.05)
