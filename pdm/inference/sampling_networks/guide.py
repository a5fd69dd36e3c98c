"""The guide of classifier-free guidance or autoguidance, and whether it fits the model to guide."""

from pathlib import Path
from typing import Any

from pdm import ema
from pdm.config.stages.sample import GuideConfig
from pdm.errors import BadInput
from pdm.files import check_sha256
from pdm.inference.sampling_networks.conditioning_of_model import classes_of_model
from pdm.model_record import record_of
from pdm.models.denoiser import Denoiser
from pdm.models.layers.spectral_norm import settle_spectral_norms
from pdm.registry import load_denoiser


def load_guide(config: GuideConfig, diffusion: Path, network: Denoiser) -> Denoiser:
    """Load the guide of a model.

    Args:
        config: What guides: the model without its condition, an earlier EMA, or another model.
        diffusion: Folder of the model to guide.
        network: The model to guide.

    Raises:
        BadInput: The guide is missing, or does not fit the model.
    """
    if config.kind == "unconditional":
        if network.condition_sizes is None:
            raise BadInput(
                f"sample.guide: {diffusion} takes no condition, so classifier-free guidance cannot "
                "leave it out; choose kind: ema or model, or train it with diffusion.task"
            )
        return network
    if config.kind == "ema":
        return _load_earlier_ema(config, diffusion)
    return _load_other_model(config, diffusion, network)


def _load_earlier_ema(config: GuideConfig, diffusion: Path) -> Denoiser:
    assert config.ema_length is not None
    guide = load_denoiser(diffusion)
    found = ema.load_ema(diffusion, config.ema_length, _end_of_ema(config, diffusion))
    guide.load_state_dict(found, strict=False)
    return settle_spectral_norms(guide)


def _load_other_model(config: GuideConfig, diffusion: Path, network: Denoiser) -> Denoiser:
    assert config.path is not None
    folder = Path(config.path)
    # Equal params must give equal images.
    check_sha256(folder / "model.safetensors", str(config.sha256), "sample.guide")
    guide = load_denoiser(folder)
    _check_fit(folder, record_of(diffusion), _schedule(network), _schedule(guide))
    both = classes_of_model(folder, guide), classes_of_model(diffusion, network)
    if guide.condition_sizes not in (None, network.condition_sizes):
        raise BadInput(
            f"sample.guide.path: {folder} takes another condition than the model to guide; a guide "
            "needs the same one, or none"
        )
    if both[0] and both[0] != both[1]:
        raise BadInput(
            f"sample.guide.path: {folder} has the classes {both[0]}, but the model to guide has "
            f"{both[1]}; a guide needs the same classes, or none"
        )
    return guide


def _end_of_ema(config: GuideConfig, diffusion: Path) -> int:
    if config.images_seen is not None:
        return config.images_seen
    assert config.training_share is not None
    try:
        return ema.earlier_end(diffusion, config.training_share)
    except BadInput as error:
        raise BadInput(f"sample.guide: {error}; or set sample.guidance_scale to 1.0") from error


def _check_fit(folder: Path, facts: dict[str, Any], schedule: object, of_guide: object) -> None:
    found = record_of(folder)
    for name in ("autoencoder_sha256", "level_shapes"):
        if found.get(name) != facts[name]:
            raise BadInput(
                f"sample.guide.path: {folder} has {name} {found.get(name)}, but the model to guide "
                f"has {facts[name]}; both must be trained on the same latents"
            )
    if schedule != of_guide:
        raise BadInput(
            f"sample.guide.path: {folder} was trained with windows or level_times {of_guide}, but "
            f"the model to guide with {schedule}; both need the same ones"
        )


def _schedule(network: Denoiser) -> object:
    return getattr(network.config, "schedule", None)
