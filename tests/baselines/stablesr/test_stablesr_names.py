"""Names and shapes of StableSR's published weights, all of them."""

import hashlib
from dataclasses import asdict

import torch
from shared.published_stablesr import (
    FIRST_STAGE_CONFIG,
    published_first_stage,
)
from stablesr_files import below

from pdm.baselines.first_stage import KLFirstStage
from pdm.baselines.stablesr.denoiser import StableSR
from pdm.baselines.stablesr.fusing_first_stage import FusingFirstStage
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
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.stablesr import FusingFirstStageConfig, StableSRConfig

# Of the public code (StableSR, 1205ade, at its configurations), built without memory: the names of
# all weights, and names with shapes of what has no text.
PUBLIC_NAMES = "8668e7e6075a096fce697df4ee6a7d026bc2b5a72d6951cfcb0ba9d9ee67534f"
PUBLIC_SHAPES = "c5973f2af0216e17d494e7c19ad51bbed6e6b1f7f8a567f5c046f155da4f4531"
PUBLIC_WRAPPING = "9363850586c6d7698ac08e453bb069e54a192315ce701d6d084b39f624a7bb75"


def digest_of(lines) -> str:
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


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
