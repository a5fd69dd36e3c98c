import json
import math

import pytest
import torch
from small_autoencoder import CONFIG, deterministic, images, model

from pdm.errors import BadInput
from pdm.models.autoencoder import PyramidAutoencoder


@pytest.mark.parametrize(("height", "width"), [(64, 128), (256, 256), (32, 16)])
@torch.no_grad()
def test_levels_have_the_shapes_that_it_names(height, width):
    autoencoder = model()
    pyramid = autoencoder.encode(images(height, width, count=1))
    shapes = autoencoder.level_shapes(height, width)
    assert [tuple(level.shape[1:]) for level in pyramid] == list(shapes)
    assert autoencoder.decode(pyramid).shape == (1, 3, height, width)


@pytest.mark.parametrize(("height", "width"), [(1024, 2048), (2048, 2048)])
def test_2k_pictures_go_through_on_the_meta_device(height, width):
    autoencoder = model().to("meta")
    pyramid = autoencoder.encode(torch.empty(1, 3, height, width, device="meta"))
    assert pyramid[-1].shape == (1, 3, height // 4, width // 4)
    assert autoencoder.decode(pyramid).shape == (1, 3, height, width)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@torch.no_grad()
def test_every_prefix_of_the_levels_decodes(count):
    autoencoder = model()
    pyramid = autoencoder.encode(images())
    found = autoencoder.decode(pyramid[:count], size=(32, 64))
    assert found.shape == (2, 3, 32, 64)
    assert found.abs().max() <= 1
    if count > 1:
        assert torch.equal(found, autoencoder.decode(pyramid[:count]))


@pytest.mark.parametrize(
    "choice",
    [
        {"norm": "pixel"},
        {"attention_ratio": "equal"},
        {"skips": "residual"},
        {"skips": "input_output"},
    ],
)
@torch.no_grad()
def test_every_choice_makes_another_network(choice):
    found, usual = model(**choice), model()
    for autoencoder in (found, usual):
        for parameter in autoencoder.parameters():  # as after some training: none is zero any more
            parameter.add_(0.05)
    pictures = [one.decode(one.encode(images())) for one in (found, usual)]
    assert all(picture.isfinite().all() for picture in pictures)
    assert not torch.allclose(*pictures)


@torch.no_grad()
def test_every_level_changes_the_picture():
    autoencoder = model()
    pyramid = autoencoder.encode(images())
    whole = autoencoder.decode(pyramid)
    for index, level in enumerate(pyramid):
        changed = (*pyramid[:index], level + 1, *pyramid[index + 1 :])
        assert not torch.allclose(autoencoder.decode(changed), whole)


def test_a_global_level_without_others_needs_a_size():
    with pytest.raises(ValueError, match="give size"):
        model().decode((torch.zeros(1, 6, 1, 1),))


def test_levels_of_the_wrong_shape_are_refused():
    with pytest.raises(ValueError, match="do not decode to 32 x 64"):
        model().decode((torch.zeros(1, 6, 1, 1), torch.zeros(1, 5, 3, 4)), size=(32, 64))


def test_sides_must_be_multiples_of_the_largest_downsampling():
    with pytest.raises(ValueError, match="not a multiple of the downsampling 16"):
        model().encode(images(32, 40))


@torch.no_grad()
def test_a_saved_model_loads_bit_equal(tmp_path):
    autoencoder, batch = deterministic(1), images()
    autoencoder.train()
    autoencoder.posterior(batch)  # moves the power iteration
    autoencoder.eval()
    autoencoder.set_statistics(*[[torch.rand(c) + 0.5 for c in autoencoder.level_channels]] * 2)
    autoencoder.save_pretrained(tmp_path / "model", data="abc")
    loaded = PyramidAutoencoder.from_pretrained(tmp_path / "model")
    assert loaded.config == autoencoder.config
    for found, expected in zip(loaded.encode(batch), autoencoder.encode(batch), strict=True):
        assert torch.equal(found, expected)
    pyramid = loaded.encode(batch)
    assert torch.equal(loaded.decode(pyramid), autoencoder.decode(pyramid))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(BadInput, match="has no trained model"):
        PyramidAutoencoder.from_pretrained(tmp_path)


def test_every_parameter_gets_a_gradient():
    autoencoder = model().train()
    with torch.no_grad():  # as after some training: no parameter is zero any more
        for parameter in autoencoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    means, log_variances = autoencoder.posterior(images())
    loss = autoencoder.decode_raw(means).square().mean()
    (loss + sum(level.mean() for level in log_variances)).backward()
    silent = [n for n, p in autoencoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@torch.no_grad()
def test_a_prefix_does_not_look_at_the_levels_that_it_lacks():
    autoencoder = model()
    first = autoencoder.encode(images())
    second = (*first[:2], *(torch.randn_like(level) for level in first[2:]))
    assert torch.equal(autoencoder.decode(first[:2]), autoencoder.decode(second[:2]))


@torch.no_grad()
def test_the_finest_head_is_equivariant_to_shifts_away_from_the_edges():
    """Group norm sees the whole picture, so the shift is a roll: statistics stay the same."""
    autoencoder = model(attention_from=64)
    batch = images(256, 256, count=1)
    shift = 16
    moved = autoencoder.posterior(batch.roll(shift, dims=3))[0][-1].roll(-shift // 4, dims=3)
    still = autoencoder.posterior(batch)[0][-1]
    centre = (..., slice(16, 48), slice(16, 40))
    torch.testing.assert_close(moved[centre], still[centre], atol=2e-2, rtol=0)
    assert math.isfinite(still.std().item())


@torch.no_grad()
def test_dropout_is_off_in_evaluation():
    autoencoder, batch = model(), images()
    assert torch.equal(autoencoder.encode(batch)[0], autoencoder.encode(batch)[0])


@torch.no_grad()
def test_a_picture_of_one_colour_decodes_the_same_at_any_size():
    """Convolutions that repeat the edges see one colour everywhere, however large the picture."""
    autoencoder = model(attention_from=64)
    means = [
        autoencoder.posterior(torch.full((1, 3, *size), 0.3))[0] for size in [(32, 64), (256, 512)]
    ]
    for small, large in zip(*means, strict=True):
        torch.testing.assert_close(small.mean((2, 3)), large.mean((2, 3)), atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(large, large.mean((2, 3), keepdim=True).expand_as(large))


@pytest.mark.parametrize(
    ("skips", "around_blocks", "from_the_picture"),
    [("res_skip", True, True), ("residual", True, False), ("input_output", False, True)],
)
@torch.no_grad()
def test_skips_lead_where_their_name_says(skips, around_blocks, from_the_picture):
    """With all that the blocks compute taken away, only skips carry a picture."""
    autoencoder = model(skips=skips)
    for name, parameter in autoencoder.named_parameters():
        if name.endswith(".gain"):
            parameter.zero_()
    stage = autoencoder.encoder.stages[0]
    features = torch.randn(1, 4, 8, 8)
    carried = stage(features, torch.zeros(1, 3, 8, 8))
    assert bool(carried.std(dim=(2, 3)).mean() > 0.1) == around_blocks
    lit = stage(torch.zeros(1, 4, 8, 8), torch.randn(1, 3, 8, 8))
    assert bool(lit.std(dim=(2, 3)).mean() > 0.1) == from_the_picture
    shares = [
        stage.to_rgb(torch.randn(1, w, 8, 8)).any()
        for stage, w in zip(
            autoencoder.decoder.stages, reversed(CONFIG.decoder_widths), strict=True
        )
    ]
    assert [bool(share) for share in shares] == [from_the_picture] * 4 + [True]


@pytest.mark.parametrize("change", [{"skips": None}, {"new": 1}, {"encoder_widths": [4] * 5}])
def test_a_folder_of_another_version_is_refused_with_its_reason(tmp_path, change):
    model().save_pretrained(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    record = json.loads(path.read_text())
    record["config"] |= change
    if change == {"skips": None}:
        del record["config"]["skips"]
    path.write_text(json.dumps(record))
    with pytest.raises(BadInput, match="this version of the project does not know"):
        PyramidAutoencoder.from_pretrained(tmp_path / "model")


@torch.no_grad()
def test_under_autocast_the_picture_is_summed_in_float32():
    autoencoder = model(norm="pixel")
    pyramid = autoencoder.encode(images())
    with torch.autocast("cpu", torch.bfloat16):
        whole = autoencoder.decode_raw(pyramid, (32, 64))
    assert whole.dtype == torch.float32
    # bfloat16 has 8 bits: a picture summed in it has only values that fit into them.
    assert (whole.bfloat16().float() != whole).float().mean() > 0.9
