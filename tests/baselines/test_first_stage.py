"""LDM's first stages: the published networks, behind the interface of the pyramid autoencoder."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from ruamel.yaml import YAML

from pdm import cli
from pdm.baselines.diffusers_folders import from_diffusers, import_first_stage
from pdm.baselines.first_stage import DESIGNS, build_first_stage
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.training.init_from import InitFromConfig
from pdm.errors import BadInput
from pdm.registry import load_autoencoder
from pdm.training.init_from import initialise
from pdm.training.objectives.pixel_losses import l1

# Rombach et al., arXiv:2112.10752, and the checkpoints of its release, in millions of parameters.
PUBLISHED = {
    "kl-f4": 55.312063,
    "kl-f8": 83.653863,
    "kl-f16": 69.610963,
    "kl-f32": 103.880131,
    "vq-f4": 55.322782,
    "vq-f4-noattn": 53.219486,
    "vq-f8": 67.717295,
    "vq-f16": 69.593371,
}


def small(name, latent_weight=1.0):
    torch.manual_seed(0)
    return build_first_stage(
        FirstStageConfig(
            name=name, base_width=8, latent_scale="channel", latent_weight=latent_weight
        )
    ).eval()


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_has_the_published_number_of_parameters(name):
    with torch.device("meta"):
        model = build_first_stage(
            FirstStageConfig(name=name, base_width=128, latent_scale="channel", latent_weight=1.0)
        )
    assert sum(weight.numel() for weight in model.parameters()) == round(PUBLISHED[name] * 1e6)


@pytest.mark.parametrize("name", DESIGNS)
def test_it_attends_with_one_head(name):
    attentions = [m for m in small(name).modules() if isinstance(m, Attention)]
    assert {attention.heads for attention in attentions} <= {1}
    assert attentions or name == "vq-f4-noattn"


@pytest.mark.parametrize("name", DESIGNS)
@torch.no_grad()
def test_it_is_a_pyramid_of_one_level(name):
    model = small(name)
    images = torch.rand(2, 3, 32, 64) * 2 - 1
    (latent,) = model.encode(images)
    assert (tuple(latent.shape[1:]),) == model.level_shapes(32, 64)
    assert 32 // latent.shape[2] == int(name.split("-")[1].removeprefix("f"))
    assert model.decode((latent,)).shape == images.shape
    assert model.decode((latent,), (32, 64)).abs().max() <= 1


@pytest.mark.parametrize("name", ["kl-f8", "vq-f8"])
@torch.no_grad()
def test_it_gives_what_diffusers_gives(name):
    model = small(name)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    means, _ = model.posterior(images)
    theirs = model.network.encode(images)
    latent = theirs.latent_dist.mean if name.startswith("kl") else theirs.latents
    torch.testing.assert_close(means[0], latent)
    torch.testing.assert_close(model.decode_raw(means), model.network.decode(latent).sample)


@torch.no_grad()
def test_latents_are_standardised_by_the_statistics():
    model = small("kl-f4")
    images = torch.rand(1, 3, 16, 16)
    raw, _ = model.posterior(images)
    model.set_statistics([torch.full((3,), 2.0)], [torch.full((3,), 4.0)])
    latents = model.encode(images)
    torch.testing.assert_close(latents[0], (raw[0] - 2) / 4)
    torch.testing.assert_close(model.decode(latents), model.decode_raw(raw).clamp(-1, 1))


def gradients(loss, model):
    weights = list(model.parameters())
    found = torch.autograd.grad(
        loss, weights, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return torch.cat([gradient.flatten() for gradient in found])


@pytest.mark.parametrize("name", ["kl-f4", "kl-f8", "kl-f16", "kl-f32"])
def test_the_kl_weighs_as_much_against_the_pixels_as_in_ldm(name):
    """LDM's loss: |difference| and weight * KL, summed over a picture, averaged over the batch."""
    weight = 1.0e-2
    model, images = small(name, weight), torch.rand(2, 3, 32, 64) * 2 - 1
    means, log_variances = model.posterior(images)
    difference = model.decode_raw(means) - images
    kl = DiagonalGaussianDistribution(torch.cat([means[0], log_variances[0]], 1)).kl()
    ldm = difference.abs().sum() / len(images), weight * kl.mean()
    ours = l1(images + difference, images), model.penalty(means, log_variances)[0]
    norms = [[gradients(loss, model).norm() for loss in pair] for pair in (ldm, ours)]
    torch.testing.assert_close(norms[1][1] / norms[1][0], norms[0][1] / norms[0][0])
    summed, mean = (gradients(sum(pair), model) for pair in (ldm, ours))
    assert (images[0].numel() * mean - summed).norm() < 1e-4 * summed.norm()


def test_the_codebook_loss_weighs_as_much_against_the_pixels_as_in_ldm():
    """LDM's loss: means of both, latents drawn to codes by 1 and codes to latents by 0.25."""
    model = small("vq-f4", 0.5)
    latents = torch.randn(2, 3, 4, 4, requires_grad=True)
    codes = model.network.quantize.embedding.weight
    rows = latents.movedim(1, -1).reshape(-1, 3)
    nearest = codes[torch.cdist(rows, codes).argmin(1)]
    towards_codes = (rows - nearest.detach()).square().mean()
    towards_latents = (nearest - rows.detach()).square().mean()
    expected = 0.5 * (towards_codes + 0.25 * towards_latents)
    penalty, _ = model.penalty((latents,), (None,))
    for one, other in zip(
        *(torch.autograd.grad(loss, (latents, codes)) for loss in (penalty, expected)), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_a_codebook_draws_latents_and_codes_together():
    model = small("vq-f4")
    codes = model.network.quantize.embedding.weight
    on_codes = codes[:4].detach().T.reshape(1, 3, 2, 2)
    assert model.penalty((on_codes,), (None,))[0].item() == pytest.approx(0.0, abs=1e-9)
    moved = (on_codes + 1e-5).requires_grad_()
    penalty, terms = model.penalty((moved,), (None,))
    penalty.backward()
    assert terms.keys() == {"codebook"}
    assert moved.grad.abs().max() > 0
    assert codes.grad.abs().max() > 0


@torch.no_grad()
def test_the_decoder_sees_codes_alone():
    model = small("vq-f4")
    latent = torch.zeros(1, 3, 4, 4)
    nudged = latent + 1e-7  # nearest to the same codes
    torch.testing.assert_close(model.decode_raw((latent,)), model.decode_raw((nudged,)))


@pytest.mark.parametrize("name", ["kl-f8", "vq-f4-noattn"])
@torch.no_grad()
def test_a_training_can_start_from_a_first_stage_of_diffusers(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = small(name)
    model.set_statistics(
        [torch.zeros(model.level_channels[0])], [torch.full((model.level_channels[0],), 5.0)]
    )
    model.network.register_to_config(scaling_factor=0.2)
    model.network.save_pretrained("vae")
    assert cli.main(["import", "first-stage", "vae", "--output", "imported"]) == 0
    printed = YAML().load(capsys.readouterr().out.partition("\n")[2])["autoencoder"]
    config = FirstStageConfig(**printed["baseline"])
    assert config.name == name
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    again = load_autoencoder(Path("imported"))
    torch.testing.assert_close(again.encode(images), model.encode(images))

    started = build_first_stage(config)
    initialise(
        started,
        InitFromConfig(**printed["init_from"]),
        stage="autoencoder",
        working_folder=Path(),
        listed=[],
        run=tmp_path,
        is_first=False,
    )
    for own, released in zip(started.parameters(), model.parameters(), strict=True):
        assert torch.equal(own, released)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "vae is not a folder of diffusers"),
        ('{"kind": "KLFirstStage"}', "its config.json has no _class_name; name the folder"),
        ('{"_class_name": "UNet2DModel"}', "has a UNet2DModel; only AutoencoderKL and VQModel"),
        ('{"_class_name": "VQModel"}', "vae cannot be read"),  # no weights
    ],
)
def test_what_is_no_first_stage_of_diffusers_is_named(config, message, tmp_path):
    (tmp_path / "vae").mkdir()
    if config is not None:
        (tmp_path / "vae" / "config.json").write_text(config)
    with pytest.raises(BadInput, match=message):
        import_first_stage(tmp_path / "vae", tmp_path / "imported")


@pytest.mark.parametrize(("name", "state"), [("nothere", "does not exist"), ("file", "is a file")])
def test_what_is_no_folder_is_named_with_what_to_do(name, state, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInput) as caught:
        import_first_stage(tmp_path / name, tmp_path / "imported")
    assert str(caught.value) == (
        f"the folder {tmp_path / name} {state}; name the folder of the first stage, such as `vae` "
        "of a pipeline"
    )


def test_an_import_replaces_nothing(tmp_path):
    with pytest.raises(BadInput, match="exists and is not replaced"):
        import_first_stage(tmp_path / "vae", tmp_path)


def test_a_folder_of_another_design_is_refused(tmp_path):
    AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 24],
        norm_num_groups=4,
        latent_channels=5,
    ).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="not one of the released designs"):
        from_diffusers(tmp_path)


def test_a_folder_with_other_groups_is_refused_though_its_weights_would_fit(tmp_path):
    network = small("kl-f8").network
    settings = {name: value for name, value in network.config.items() if name[0] != "_"}
    AutoencoderKL(**settings | {"norm_num_groups": 1}).save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="not one of the released designs"):
        from_diffusers(tmp_path)


@torch.no_grad()
def test_tiles_are_refused():
    with pytest.raises(ValueError, match="tile_px is 64"):
        small("kl-f8").encode(torch.zeros(1, 3, 64, 64), tile_px=64)


def test_our_own_folders_go_in_and_out(tmp_path):
    model = small("kl-f8")
    model.save_pretrained(tmp_path / "model")
    again = type(model).from_pretrained(tmp_path / "model")
    assert again.config == model.config
    for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
