"""StableSR: its networks against a restatement, and the import of its published weights."""

import hashlib
import os
from dataclasses import asdict

import pytest
import stablesr_reference as reference
import torch
from safetensors.torch import save_file
from shared.published_stablesr import (
    FIRST_STAGE_CONFIG,
    HEAD_WIDTH,
    SMALL,
    TextEncoder,
    published_first_stage,
    published_weights,
    randomise,
    save_as_lightning,
)

from pdm import cli
from pdm.baselines.first_stage import KLFirstStage
from pdm.baselines.stablesr.checkpoint import read_tensors
from pdm.baselines.stablesr.denoiser import BETAS, StableSR
from pdm.baselines.stablesr.fusing_first_stage import FusingFirstStage
from pdm.baselines.stablesr.importing import Published, import_stablesr
from pdm.baselines.stablesr.published_names import (
    ENCODER,
    FIRST_STAGE,
    TEXT,
    UNET,
    expected_names,
    first_stage_names,
    why_unused,
)
from pdm.baselines.stablesr.renaming import diffusers_name, fusing_name
from pdm.baselines.trained_steps import rising_times, velocity_of
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.stablesr import FusingFirstStageConfig, StableSRConfig
from pdm.diffusion.samplers import Point
from pdm.diffusion.stochastic import ddim_step
from pdm.errors import BadInput
from pdm.models.condition import Condition
from pdm.models.noise_schedule import cumulative_alphas, respaced_times, step_times
from pdm.registry import load_autoencoder, load_denoiser

NUM_HEADS = 4
# Of the public code (StableSR, 1205ade, at its configurations), built without memory: the names of
# all weights, and names with shapes of what has no text.
PUBLIC_NAMES = "8668e7e6075a096fce697df4ee6a7d026bc2b5a72d6951cfcb0ba9d9ee67534f"
PUBLIC_SHAPES = "c5973f2af0216e17d494e7c19ad51bbed6e6b1f7f8a567f5c046f155da4f4531"
PUBLIC_WRAPPING = "9363850586c6d7698ac08e453bb069e54a192315ce701d6d084b39f624a7bb75"


def digest_of(lines) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


@pytest.fixture(scope="module")
def weights():
    return published_weights()


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    """What the import makes of a checkpoint like Lightning's."""
    base = tmp_path_factory.mktemp("published")
    save_as_lightning(weights, base / "stablesr.ckpt")
    import_stablesr(published(base / "stablesr.ckpt"), base / "models")
    return base / "models"


@pytest.fixture(scope="module")
def model(folder):
    return load_denoiser(folder / "diffusion")


def published(*files, **settings) -> Published:
    return Published(files=files, head_width=HEAD_WIDTH, size_px=64, **settings)


def below(prefix, tensors):
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


# networks


@pytest.mark.parametrize("size", [(16, 16), (8, 24)])
@torch.no_grad()
def test_the_networks_compute_what_the_restatement_does(size, weights, model):
    latent, enlarged = torch.randn(2, 2, 4, *size)
    steps, text = torch.tensor([3, 977]), torch.randn(2, 5, SMALL.text_width)
    maps = model.encoder(enlarged, steps)
    expected = reference.encode(below(ENCODER, weights), enlarged, steps, NUM_HEADS)
    assert set(maps) == set(expected)
    for width, found in maps.items():
        torch.testing.assert_close(found, expected[width], rtol=0, atol=2e-5)
    predicted = model.unet(latent, steps, text, maps)
    restated = reference.predict(below(UNET, weights), latent, steps, text, expected, HEAD_WIDTH)
    torch.testing.assert_close(predicted, restated, rtol=0, atol=2e-5)
    assert restated.std() > 0.05  # neither is nothing


@torch.no_grad()
def test_a_network_of_v_gives_the_velocity_of_the_noise_that_its_v_implies():
    times, x, t = rising_times(*BETAS), torch.randn(3, 4, 8, 8), torch.tensor([0.1, 0.4, 0.9])
    abar = cumulative_alphas(*BETAS).float()

    def noise(x, steps):
        return torch.tanh(x + 0.001 * steps.view(-1, 1, 1, 1))

    def v(x, steps):
        a, s = abar[steps].sqrt().view(-1, 1, 1, 1), (1 - abar[steps]).sqrt().view(-1, 1, 1, 1)
        predicted = noise(x, steps)
        return a * predicted - s * (x - s * predicted) / a

    # at times of the steps themselves, where both are exact
    t = times[(times[None] - t[:, None]).abs().argmin(1)]
    by_noise, by_v = (
        velocity_of(noise, "noise", times, x, t),
        velocity_of(v, "v", times, x, t),
    )
    torch.testing.assert_close(by_v, by_noise, rtol=1e-4, atol=1e-4)


def test_the_stops_are_the_steps_that_the_public_code_keeps():
    all_times = step_times(*BETAS)
    kept = [all_times.tolist().index(t) for t in respaced_times(*BETAS, 200)[:-1].tolist()]
    assert kept[:3] + kept[-3:] == [999, 994, 989, 10, 5, 0]
    assert len(kept) == 200
    assert respaced_times(*BETAS, 1)[0] == all_times[999]


@pytest.mark.parametrize(("now", "later"), [(999, 994), (500, 495), (5, 0), (0, None)])
@torch.no_grad()
def test_a_step_is_that_of_ddpm(now, later, model):
    abar = cumulative_alphas(*BETAS)
    x, enlarged, fresh = torch.randn(3, 2, 4, 8, 8)
    # DDPM (Ho et al., arXiv:2006.11239, equations 6 and 7), with the betas of the steps kept
    a, before = abar[now], 1.0 if later is None else abar[later]
    beta, steps = 1 - a / before, torch.full((2,), now)
    text = model.empty_text.expand(2, -1, -1)
    noise = model.unet(x, steps, text, model.encoder(enlarged, steps))
    data = (x - (1 - a) ** 0.5 * noise) / a**0.5
    mean = before**0.5 * beta / (1 - a) * data + (1 - beta) ** 0.5 * (1 - before) / (1 - a) * x
    expected = mean + (beta * (1 - before) / (1 - a)) ** 0.5 * fresh

    times = step_times(*BETAS)[[now, now if later is None else later]]
    times[1] = 1 if later is None else times[1]
    scales = (times.square() + (1 - times).square()).sqrt().float()
    point = Point((x * scales[0],))
    reached = ddim_step(
        lambda pyramid, t: model(pyramid, t, Condition(levels=(enlarged,))),
        *(point, times),
        eta=1.0,
        fresh=lambda: (fresh,),
    )
    torch.testing.assert_close(
        reached.pyramid[0] / scales[1], expected.float(), rtol=1e-4, atol=1e-4
    )


def test_a_latent_whose_sides_cannot_be_halved_is_refused(model):
    latent = torch.randn(1, 4, 12, 8)
    with pytest.raises(ValueError, match="multiples of 8, not 12x8"):
        model((latent,), torch.tensor([0.5]), Condition(levels=(latent,)))


@pytest.mark.parametrize("fusion_weight", [0.0, 0.5])
@torch.no_grad()
def test_the_wrapped_decoder_computes_what_the_restatement_does(fusion_weight):
    own, picture, latent = wrapping(), torch.rand(1, 3, 32, 64) * 2 - 1, torch.randn(1, 4, 4, 8)
    sizes = asdict(FIRST_STAGE_CONFIG)
    model = FusingFirstStage(FusingFirstStageConfig(**sizes, fusion_weight=fusion_weight))
    renamed = {fusing_name(name): value for name, value in own.items()}
    state = {
        name: value.flatten(1) if is_linear(name, value) else value
        for name, value in renamed.items()
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith(("network.", "mean_", "std_")) for name in missing)
    found = model.eval().decode_beside((latent,), picture)
    groups = model.fusing.config.norm_num_groups
    expected = reference.decode_beside(own, latent, picture, fusion_weight, groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def is_linear(name, value) -> bool:
    return ".attentions." in name and value.ndim == 4


def wrapping(seed: int = 1) -> dict:
    """What `vqgan_cfw_00011.ckpt` has, small, by its names."""
    torch.manual_seed(seed)
    config = FusingFirstStageConfig(**asdict(FIRST_STAGE_CONFIG), fusion_weight=0.5)
    state = randomise(FusingFirstStage(config)).state_dict()
    found = published_first_stage(state, "fusing.")
    for name, value in state.items():
        if name.startswith("fusions."):
            _, level, rest = name.split(".", 2)
            rest = rest.replace("conv_shortcut", "conv_out")
            found[f"decoder.fusion_layer_{level}.{rest}"] = value
    return found


# names


def test_every_published_weight_is_expected_or_explained():
    last = "transformer.resblocks.23."
    rest = [f"{last}{name}" for name in of_text_layer()] + ["text_projection", "logit_scale"]
    unused = [TEXT + name for name in rest]
    expected = expected_names()
    assert digest_of([*expected, *unused]) == PUBLIC_NAMES
    assert all(why_unused(name, last) for name in unused)
    assert not any(why_unused(name, last) for name in expected)
    for name in ("betas", "posterior_mean_coef2", "model_ema.decay", f"{TEXT}attn_mask"):
        assert why_unused(name, last)


def of_text_layer() -> list[str]:
    layers = ("ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")
    names = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    return [*names, "attn.in_proj_weight", "attn.in_proj_bias"]


def test_published_weights_have_the_shapes_of_the_networks():
    with torch.device("meta"):
        model = StableSR(StableSRConfig(predicts="noise"), (4,), (8,))
        config = FirstStageConfig(
            name="kl-f8", base_width=128, latent_scale="scalar", latent_weight=0.0
        )
        first_stage = KLFirstStage(config).state_dict()
    own = model.state_dict()
    shapes = {UNET + name: value.shape for name, value in below("unet.", own).items()}
    shapes |= {ENCODER + name: value.shape for name, value in below("encoder.", own).items()}
    for name, value in published_first_stage(first_stage, "network.").items():
        shapes[FIRST_STAGE + name] = value.shape
    assert digest_of(f"{name} {list(shape)}" for name, shape in shapes.items()) == PUBLIC_SHAPES
    assert sum(weight.numel() for weight in model.unet.parameters()) == 918_930_884
    assert sum(weight.numel() for weight in model.encoder.parameters()) == 52_494_080


def test_every_weight_of_the_wrapping_has_a_place():
    with torch.device("meta"):
        config = FusingFirstStageConfig(
            **asdict(FIRST_STAGE_CONFIG) | {"base_width": 128}, fusion_weight=0.5
        )
        state = FusingFirstStage(config).state_dict()
    found = published_first_stage(state, "fusing.")
    for name, value in below("fusions.", state).items():
        found[f"decoder.fusion_layer_{name.replace('conv_shortcut', 'conv_out')}"] = value
    assert digest_of(f"{k} {list(v.shape)}" for k, v in found.items()) == PUBLIC_WRAPPING
    places = {fusing_name(name) for name in found}
    assert places == {name for name in state if name.startswith(("fusing.", "fusions."))}
    assert fusing_name("loss.discriminator.main.0.weight") is None


def test_names_of_the_first_stage_are_those_of_diffusers():
    with torch.device("meta"):
        wanted = set(KLFirstStage(FIRST_STAGE_CONFIG).network.state_dict())
    names = first_stage_names()
    assert len(set(names)) == len(names)
    assert {diffusers_name(name) for name in names} == wanted


# import


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
            "weights that StableSR lacks",
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


# checkpoints


class Runs:
    """Would write a file as it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_names_other_code_is_refused_and_not_run(tmp_path):
    torch.save(
        {"state_dict": {"a": torch.ones(1)}, "b": Runs(tmp_path / "made")}, tmp_path / "x.ckpt"
    )
    with pytest.raises(BadInput, match="mkdir"):
        read_tensors(tmp_path / "x.ckpt")
    assert not (tmp_path / "made").exists()


def test_lightnings_callbacks_are_passed_over(tmp_path):
    save_as_lightning({"a": torch.arange(3.0)}, tmp_path / "x.ckpt")
    found = read_tensors(tmp_path / "x.ckpt")
    assert list(found) == ["a"]
    assert torch.equal(found["a"], torch.arange(3.0))


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.ckpt", b"no checkpoint"), ("x.safetensors", b"no tensors"), ("y.ckpt", b"")],
)
def test_a_damaged_file_is_refused_in_one_line(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=name) as caught:
        read_tensors(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "x.ckpt")
    with pytest.raises(BadInput, match="has no tensors with names"):
        read_tensors(tmp_path / "x.ckpt")
