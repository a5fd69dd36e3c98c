"""Every weight of a published file: the names that it must have, and those that are not used."""

import re
from collections.abc import Collection, Iterable, Iterator

import torch

from pdm.baselines.stablesr.denoiser import StableSR
from pdm.config.networks.stablesr import StableSRConfig
from pdm.counts import counted
from pdm.errors import BadInput

UNET, ENCODER = "model.diffusion_model.", "structcond_stage_model."
FIRST_STAGE, TEXT = "first_stage_model.", "cond_stage_model.model."
LAYER = "transformer.resblocks."  # of the text encoder
TEXT_LAYERS = 24  # as published; the last is not read
BOTH = ("weight", "bias")

SCHEDULE = (
    *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod"),
    *("sqrt_one_minus_alphas_cumprod", "log_one_minus_alphas_cumprod"),
    *("sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance"),
    *("posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"),
    *("lvlb_weights", "cond_ids", "logvar", "scale_factor"),
)


def check_names(found: Collection[str], given: str) -> None:
    """Check that files have every weight, and no other but those that `why_unused` explains.

    Args:
        found: Names of the weights.
        given: Files that they are from, for messages.

    Raises:
        BadInput: Weights are missing, or left over.
    """
    layers = num_text_layers(found)
    expected = expected_names(layers)
    missing = {part: name for name, part in reversed(expected.items()) if name not in found}
    if missing:
        listed = "; ".join(f"{part} (such as {name})" for part, name in missing.items())
        raise BadInput(
            f"{given} lacks weights of {listed}; name stablesr_000117.ckpt, which has all, or also "
            "the file of Stable Diffusion 2.1-base that has the others"
        )
    last = f"{LAYER}{layers - 1}."
    left = [name for name in found if name not in expected and why_unused(name, last) is None]
    if left:
        raise BadInput(
            f"{given} has {counted(len(left), 'weight')} that StableSR lacks, such as {left[0]}, "
            "so it is of another model; name a file of StableSR"
        )


def expected_names(text_layers: int = TEXT_LAYERS) -> dict[str, str]:
    """Return the name of every weight that must be there, each with what it is of.

    Args:
        text_layers: Of the text encoder, the last one, which is not read, included.
    """
    with torch.device("meta"):
        own = StableSR(StableSRConfig(predicts="noise"), (4,), (8,)).state_dict()
    found = {}
    for name in own:
        prefix, _, rest = name.partition(".")
        if prefix == "unet":
            is_modulation = ".spade." in name
            found[UNET + rest] = "the UNet's modulations" if is_modulation else "the UNet"
        elif prefix == "encoder":
            found[ENCODER + rest] = "the time-aware encoder"
    found |= dict.fromkeys((FIRST_STAGE + name for name in first_stage_names()), "the first stage")
    text = (TEXT + name for name in _text_names(text_layers - 1))
    return found | dict.fromkeys(text, "the text encoder")


def num_text_layers(found: Iterable[str]) -> int:
    """Count the layers of the text encoder; as published, if there are none."""
    pattern = re.compile(rf"{re.escape(TEXT + LAYER)}(\d{{1,3}})\.")
    numbers = [int(match[1]) for name in found if (match := pattern.match(name))]
    return max(numbers, default=TEXT_LAYERS - 1) + 1


def why_unused(name: str, last_layer: str) -> str | None:
    """Say why a weight of a published file has no place here; None if it should have one.

    Args:
        name: Of the weight.
        last_layer: Prefix of the last layer within the text encoder.
    """
    if name in SCHEDULE:
        return "follows from the noise schedule"
    if name.startswith("model_ema."):
        return "the EMA of the training, which StableSR does not sample with"
    own = name.removeprefix(TEXT)
    if own in ("text_projection", "logit_scale", "attn_mask") or own.startswith(last_layer):
        return "of the text encoder after the layer that Stable Diffusion 2 reads"
    return None


def first_stage_names() -> list[str]:
    """Return the names of latent diffusion's first stage kl-f8."""
    blocks = [f"encoder.down.{level}.block.{number}" for level in range(4) for number in range(2)]
    blocks += [f"decoder.up.{level}.block.{number}" for level in range(4) for number in range(3)]
    sides = ("encoder", "decoder")
    blocks += [f"{side}.mid.block_{number}" for side in sides for number in (1, 2)]
    layers = [
        f"{block}.{layer}{number}"
        for block in blocks
        for number in (1, 2)
        for layer in ("norm", "conv")
    ]
    layers += [f"encoder.down.{level}.block.0.nin_shortcut" for level in (1, 2)]
    layers += [f"decoder.up.{level}.block.0.nin_shortcut" for level in (0, 1)]
    layers += [f"encoder.down.{level}.downsample.conv" for level in (0, 1, 2)]
    layers += [f"decoder.up.{level}.upsample.conv" for level in (1, 2, 3)]
    attention = ("norm", "q", "k", "v", "proj_out")
    layers += [f"{side}.mid.attn_1.{layer}" for side in sides for layer in attention]
    layers += [f"{side}.{layer}" for side in sides for layer in ("conv_in", "norm_out", "conv_out")]
    layers += ["quant_conv", "post_quant_conv"]
    return [f"{layer}.{kind}" for layer in layers for kind in BOTH]


def _text_names(num_layers: int) -> Iterator[str]:
    yield from ("token_embedding.weight", "positional_embedding")
    yield from (f"ln_final.{kind}" for kind in BOTH)
    for number in range(num_layers):
        yield from (f"{LAYER}{number}.attn.in_proj_{kind}" for kind in BOTH)
        for layer in ("ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj"):
            yield from (f"{LAYER}{number}.{layer}.{kind}" for kind in BOTH)
