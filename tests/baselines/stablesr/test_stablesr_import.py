"""The import of StableSR's published weights."""

import pytest
import torch
from safetensors.torch import save_file
from shared.published_stablesr import (
    SMALL,
    TextEncoder,
    published_first_stage,
)
from stablesr_files import below, published, wrapping

from pdm import cli
from pdm.baselines.stablesr.fusing_first_stage import FusingFirstStage
from pdm.baselines.stablesr.importing import import_stablesr
from pdm.baselines.stablesr.published_names import (
    ENCODER,
    FIRST_STAGE,
    TEXT,
    UNET,
)
from pdm.errors import BadInput
from pdm.registry import load_autoencoder, load_denoiser


@torch.no_grad()
def test_imported_models_have_the_published_weights(weights, folder, model):
    first_stage = load_autoencoder(folder / "autoencoder")
    assert model.config == SMALL
    for prefix, part in ((UNET, model.unet), (ENCODER, model.encoder)):
        own = below(prefix, weights)
        assert set(own) == set(part.state_dict())
        assert all(torch.equal(value, own[name]) for name, value in part.state_dict().items())
    found = published_first_stage(first_stage.state_dict(), "network.")
    own = below(FIRST_STAGE, weights)
    assert all(torch.equal(value, own[name]) for name, value in found.items())
    images = torch.rand(1, 3, 16, 16) * 2 - 1
    [latent], [raw] = first_stage.encode(images), first_stage.posterior(images)[0]
    torch.testing.assert_close(latent, 0.18215 * raw)


@torch.no_grad()
def test_the_empty_text_is_that_of_the_text_encoder(weights, model):
    encoder = TextEncoder()
    encoder.load_state_dict(below(TEXT, weights))
    tokens = torch.zeros(1, 77, dtype=torch.int64)
    tokens[0, :2] = torch.tensor([49406, 49407])
    torch.testing.assert_close(model.empty_text, encoder(tokens)[0], rtol=0, atol=1e-5)


def test_weights_may_come_in_two_files(weights, model, tmp_path):
    """As with Stable Diffusion's own file beside one that has only what StableSR adds."""
    added = {k: v for k, v in weights.items() if ".spade." in k or k.startswith(ENCODER)}
    base = {k: v.half() for k, v in weights.items() if k not in added}
    save_file(base, tmp_path / "sd.safetensors")
    torch.save(added, tmp_path / "added.ckpt")
    import_stablesr(
        published(tmp_path / "sd.safetensors", tmp_path / "added.ckpt"), tmp_path / "models"
    )
    one, two = model, load_denoiser(tmp_path / "models/diffusion")
    name = "unet.input_blocks.1.0.spade.mlp_gamma.weight"
    assert torch.equal(one.state_dict()[name], two.state_dict()[name])
    name = "unet.input_blocks.1.0.in_layers.2.weight"
    torch.testing.assert_close(one.state_dict()[name], two.state_dict()[name], rtol=1e-3, atol=1e-4)


def test_the_wrapping_is_imported_beside_them(weights, tmp_path):
    torch.save(weights, tmp_path / "stablesr.ckpt")
    wrapped, losses = wrapping(), {"loss.logvar": torch.zeros(())}
    torch.save({"state_dict": wrapped | losses}, tmp_path / "cfw.ckpt")
    settings = published(
        tmp_path / "stablesr.ckpt", wrapping=tmp_path / "cfw.ckpt", fusion_weight=0.25
    )
    import_stablesr(settings, tmp_path / "models")
    model = load_autoencoder(tmp_path / "models/autoencoder")
    assert isinstance(model, FusingFirstStage)
    assert model.config.fusion_weight == 0.25
    own = published_first_stage(model.state_dict(), "fusing.")
    assert all(torch.equal(value, wrapped[name]) for name, value in own.items())


def test_a_file_without_the_wrapping_is_refused(weights, tmp_path):
    path = tmp_path / "stablesr.ckpt"
    torch.save(weights, path)
    with pytest.raises(BadInput, match="has no feature wrapping"):
        import_stablesr(published(path, wrapping=path), tmp_path / "models")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: {k: v for k, v in w.items() if ".spade." not in k}, "the UNet's modulations"),
        (lambda w: below("model.", w), "lacks weights of the text encoder"),
        (
            lambda w: w | {"control_model.weight": torch.zeros(1)},
            "control_model.weight, so it is of",
        ),
        (lambda w: w | {f"{UNET}out.2.weight": torch.zeros(4, 8, 3, 3)}, "unet.out.2.weight"),
    ],
    ids=["missing modulations", "another model", "left over", "another shape"],
)
def test_files_of_other_models_are_refused_by_name(change, message, weights, tmp_path):
    torch.save(change(weights), tmp_path / "other.ckpt")
    with pytest.raises(BadInput, match=r"other\.ckpt") as caught:
        import_stablesr(published(tmp_path / "other.ckpt"), tmp_path / "models")
    assert message in str(caught.value)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (f"{FIRST_STAGE}encoder.conv_in.weight", torch.zeros(()), "shapes are not those"),
        (f"{FIRST_STAGE}encoder.conv_in.weight", torch.zeros(7, 3, 3, 3), "shapes are not those"),
        (f"{UNET}input_blocks.0.0.weight", torch.zeros(33, 4, 3, 3), "shapes are not those"),
        (f"{ENCODER}input_blocks.0.0.weight", torch.zeros(7, 4, 3, 3), "shapes are not those"),
        (f"{TEXT}token_embedding.weight", torch.zeros(5, 64), "shapes are not those"),
        (f"{TEXT}token_embedding.weight", torch.zeros(49408, 65), "shapes are not those"),
        (f"{TEXT}ln_final.weight", torch.full((64,), torch.nan), "empty_text that are not finite"),
        (f"{UNET}out.0.bias", torch.full((32,), torch.inf), "unet.out.0.bias that are not finite"),
        (f"{UNET}out.0.bias", torch.zeros(32, dtype=torch.int8), "unet.out.0.bias as torch.int8"),
        (f"{UNET}out.0.bias", torch.zeros(32).to_sparse(), "as torch.float32 (torch.sparse_coo)"),
        (
            f"{TEXT}transformer.resblocks.x.ln_1.weight",
            torch.zeros(1),
            "1 weight that StableSR lacks",
        ),
    ],
)
def test_weights_that_cannot_be_used_are_refused_by_name(name, value, message, weights, tmp_path):
    torch.save(weights | {name: value}, tmp_path / "odd.ckpt")
    with pytest.raises(BadInput, match=r"odd\.ckpt has") as caught:
        import_stablesr(published(tmp_path / "odd.ckpt"), tmp_path / "models")
    assert message in str(caught.value)
    assert not (tmp_path / "models").exists()


def test_the_command_refuses_bad_settings_in_one_line(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/note.txt").touch()
    missing = tmp_path / "missing.ckpt"
    for words, message in (
        (["--output", tmp_path / "out"], "missing.ckpt: no such file"),
        (["--output", tmp_path / "full"], "full exists already"),
        (["--output", tmp_path / "out", "--steps", "2000"], "steps are 2000"),
        (["--output", tmp_path / "out", "--tile", "500"], "size is 500 pixels"),
    ):
        assert cli.main([*map(str, ("import", "stablesr", missing, *words))]) == 2
        assert message in capsys.readouterr().err
