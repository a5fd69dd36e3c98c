"""Turns published weights of StableSR into a folder of the project's models.

The folder has `autoencoder/` and `diffusion/`, as every folder of models. No weight may be missing,
and one that is left over must be among those that `published_names.why_unused` explains.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from pdm import weights
from pdm.baselines.first_stage import KLFirstStage
from pdm.baselines.stablesr.checkpoint import read_tensors
from pdm.baselines.stablesr.denoiser import StableSR
from pdm.baselines.stablesr.empty_text import encode_empty_text
from pdm.baselines.stablesr.fusing_first_stage import FusingFirstStage
from pdm.baselines.stablesr.published_names import (
    ENCODER,
    FIRST_STAGE,
    TEXT,
    UNET,
    check_names,
    num_text_layers,
)
from pdm.baselines.stablesr.renaming import below, diffusers_weights, fusing_weights
from pdm.config.networks.first_stage import FirstStageConfig
from pdm.config.networks.stablesr import FusingFirstStageConfig, StableSRConfig
from pdm.config.sampling.own_settings import FACT as OWN
from pdm.config.task import FACT, SuperResolutionTask, task_record
from pdm.counts import counted
from pdm.errors import BadInput
from pdm.files import atomic_folder, sha256_of
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.denoiser import Denoiser

CHANNELS, DOWNSAMPLING = 4, 8  # of Stable Diffusion's latents
SCALING_FACTOR = 0.18215
SIDE_MULTIPLE_PX = 64  # of tiles
MAX_STEPS = 1000
LICENCE = (
    "StableSR's weights are under the NTU S-Lab License 1.0 (non-commercial), those of Stable "
    "Diffusion 2.1 under the CreativeML Open RAIL++-M License."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """What a user has of StableSR.

    Args:
        files: .ckpt or .safetensors which together have all weights; a later one replaces equal
            names of an earlier one.
        wrapping: File of the controllable feature wrapping; None to decode without.
        fusion_weight: Of the wrapping, from 0 to 1.
        predicts: noise, or v for the weights at 768 pixels.
        size_px: Side of the pictures that it was trained on, which is that of tiles.
        steps: Of its sampling, at most 1,000.
        head_width: Channels of the UNet's attention heads, which no weight shows.
    """

    files: Sequence[Path]
    wrapping: Path | None = None
    fusion_weight: float = 0.5
    predicts: Literal["noise", "v"] = "noise"
    size_px: int = 512
    steps: int = 200
    head_width: int = 64


def import_stablesr(published: Published, folder: Path) -> None:
    """Write the folder of models.

    Args:
        published: The weights.
        folder: To write; must not exist, or be empty.

    Raises:
        BadInput: A file cannot be read, weights are missing, left over, of other shapes or not
            finite, a setting is out of range, or the folder has something in it.
    """
    _check(published, folder)
    tensors: dict[str, Tensor] = {}
    for path in published.files:
        tensors |= read_tensors(path)
    given = " and ".join(str(path) for path in published.files)
    check_names(tensors, given)
    source = {path.name: sha256_of(path) for path in published.files}
    if published.wrapping is not None:
        source[published.wrapping.name] = sha256_of(published.wrapping)
    facts = {
        "image_width_px": published.size_px,
        "image_height_px": published.size_px,
        "source_sha256": source,
    }
    with atomic_folder(folder) as temporary:
        autoencoder = temporary / "autoencoder"
        _save_first_stage(tensors, published, given, autoencoder, facts)
        facts["autoencoder_sha256"] = sha256_of(autoencoder / "model.safetensors")
        _save_denoiser(tensors, published, given, temporary / "diffusion", facts)


def _check(published: Published, folder: Path) -> None:
    if not 1 <= published.steps <= MAX_STEPS:
        raise BadInput(f"the steps are {published.steps}; give a number from 1 to {MAX_STEPS:,}")
    if published.size_px < SIDE_MULTIPLE_PX or published.size_px % SIDE_MULTIPLE_PX:
        raise BadInput(
            f"the size is {published.size_px} pixels; give a multiple of {SIDE_MULTIPLE_PX}: 512 "
            "or 768 for the published weights"
        )
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise BadInput(f"{folder} exists already; name another folder with --output, or remove it")


def _save_first_stage(
    tensors: Mapping[str, Tensor],
    published: Published,
    given: str,
    folder: Path,
    facts: Mapping[str, Any],
) -> None:
    own = below(FIRST_STAGE, tensors)
    state = {f"network.{name}": value for name, value in diffusers_weights(own).items()}
    state |= {"mean_0": torch.zeros(CHANNELS)}
    state |= {"std_0": torch.full((CHANNELS,), 1 / SCALING_FACTOR)}
    if published.wrapping is not None:
        state |= fusing_weights(_read_wrapping(published.wrapping))
        given = f"{given} and {published.wrapping}"
    with _explain_shapes(given), torch.device("meta"):
        width = len(own["encoder.conv_in.weight"])
        sizes = {"name": "kl-f8", "base_width": width, "latent_scale": "scalar"}
        model = _first_stage(sizes | {"latent_weight": 0.0}, published)
    _save(model, state, folder, given, facts)


@contextmanager
def _explain_shapes(given: str) -> Iterator[None]:
    """Turn errors about weights whose shapes fit no size of the networks into `BadInput`."""
    try:
        yield
    except (IndexError, TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise BadInput(
            f"{given} has weights whose shapes are not those of StableSR ({said}); name a file of "
            "StableSR"
        ) from error


def _read_wrapping(path: Path) -> dict[str, Tensor]:
    tensors = read_tensors(path)
    if not any(name.startswith("decoder.fusion_layer_") for name in tensors):
        raise BadInput(f"{path} has no feature wrapping (fusion_layer); name vqgan_cfw_00011.ckpt")
    return tensors


def _first_stage(sizes: Mapping[str, Any], published: Published) -> KLFirstStage:
    if published.wrapping is None:
        return KLFirstStage(FirstStageConfig(**sizes))
    config = FusingFirstStageConfig(**sizes, fusion_weight=published.fusion_weight)
    return FusingFirstStage(config)


def _save_denoiser(
    tensors: Mapping[str, Tensor],
    published: Published,
    given: str,
    folder: Path,
    facts: Mapping[str, Any],
) -> None:
    unet = below(UNET, tensors)
    encoder = below(ENCODER, tensors)
    text = below(TEXT, tensors)
    state = {f"unet.{name}": value for name, value in unet.items()}
    state |= {f"encoder.{name}": value for name, value in encoder.items()}
    with _explain_shapes(given):
        state["empty_text"] = encode_empty_text(text, num_text_layers(tensors) - 1)
        config = StableSRConfig(
            predicts=published.predicts,
            base_width=len(unet["input_blocks.0.0.weight"]),
            head_width=published.head_width,
            text_width=text["token_embedding.weight"].shape[1],
            encoder_width=len(encoder["input_blocks.0.0.weight"]),
        )
        with torch.device("meta"):
            model = StableSR(config, (CHANNELS,), (DOWNSAMPLING,))
    task = SuperResolutionTask(kind="super_resolution", factor=4, degradation="bsr_light")
    side = published.size_px // DOWNSAMPLING
    own = {
        **model.facts,
        **facts,
        "level_shapes": [[CHANNELS, side, side]],
        FACT: task_record(task),
        # What StableSR's code samples with: DDPM, which is DDIM with all of its noise.
        OWN: {
            "sampler": "ddim",
            "eta": 1.0,
            "steps": published.steps,
            "time_margin": 0.0,
            "clamp_latents": 0.0,
        },
    }
    _save(model, state, folder, given, own)


def _save(
    model: Autoencoder | Denoiser,
    state: Mapping[str, Tensor],
    folder: Path,
    given: str,
    facts: Mapping[str, Any],
) -> None:
    """Write a model without building it, after a check of its weights' names and shapes."""
    wanted = {name: value.shape for name, value in model.state_dict().items()}
    for name, shape in wanted.items():
        if name not in state:
            raise BadInput(f"{given} lacks a weight of {type(model).__name__}, {name}")
        if state[name].shape != shape:
            raise BadInput(
                f"{given} has {tuple(state[name].shape)} values in {name}, where StableSR has "
                f"{tuple(shape)}; name a file of StableSR"
            )
    if left := sorted(set(state) - set(wanted)):
        raise BadInput(
            f"{given} has {counted(len(left), 'weight')} that StableSR lacks, such as {left[0]}"
        )
    tensors = {name: _as_float32(state[name], name, given) for name in wanted}
    kind, card = type(model).__name__, f"# {type(model).__name__}\n\n{LICENCE}\n"
    weights.save(folder, kind, model.config, tensors, card=card, **facts)


def _as_float32(value: Tensor, name: str, given: str) -> Tensor:
    """Convert a weight.

    Raises:
        BadInput: It has values that are not finite, or are no floating-point numbers.
    """
    if not (value.is_floating_point() and value.layout is torch.strided and not value.is_meta):
        raise BadInput(
            f"{given} has {name} as {value.dtype} ({value.layout}); name a file with all weights "
            "in float32, float16 or bfloat16"
        )
    value = value.float()
    if not value.isfinite().all():
        raise BadInput(f"{given} has values in {name} that are not finite; download it again")
    return value
