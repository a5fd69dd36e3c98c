"""The networks that draw: the diffusion model with the weights asked for, and its guide, if any;
and the classes that it knows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pdm import ema, weights
from pdm.config.diffusion import ConditionConfig
from pdm.config.sample import GuideConfig, SampleConfig
from pdm.data.classes import labels_of, names_of
from pdm.diffusion.flow import Velocity
from pdm.diffusion.guidance import apply_guidance
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.models.condition import with_class_label
from pdm.models.denoiser import Denoiser
from pdm.models.layers import bake_spectral_norms, settle_spectral_norms
from pdm.registry import load_denoiser


@dataclass(frozen=True, slots=True)
class Networks:
    """In evaluation mode, on one device."""

    network: Denoiser
    guide: Denoiser | None = None  # where nothing guides
    is_guide_told: bool = (
        False  # the class; a guide that takes one and is not, is told that none is said
    )
    classes: tuple[str, ...] = ()  # that the network knows, by label
    chosen: tuple[str, ...] = ()  # that pictures are drawn of

    def class_of(self, seed: int) -> str | None:
        """The class of a seed's picture, whatever its batch; None for a model without classes."""
        return self.chosen[seed % len(self.chosen)] if self.chosen else None

    def velocity(self, config: SampleConfig, seeds: Sequence[int]) -> Velocity:
        """Of these seeds' pictures, guided as asked."""
        velocity = with_class_label(self.network, self._labels(seeds))
        if self.guide is None:
            return velocity
        labels = self._labels(seeds) if takes_class(self.guide) else None
        if labels is not None and not self.is_guide_told:
            labels = torch.full_like(labels, len(self.classes))
        scale, interval = config.guidance_scale, config.guidance_interval
        return apply_guidance(velocity, with_class_label(self.guide, labels), scale, interval)

    def _labels(self, seeds: Sequence[int]) -> Tensor | None:
        if not self.classes:
            return None
        names = [self.class_of(seed) for seed in seeds]
        return labels_of(names, self.classes).to(next(self.network.parameters()).device)


def load_networks(diffusion: Path, config: SampleConfig, device: torch.device) -> Networks:
    """Load what the section `sample` asks for.

    Raises:
        BadInput: A model is missing, has no averages to choose from, or cannot guide this one.
    """
    network = load_denoiser(diffusion)
    if config.ema_length is not None:
        network.load_state_dict(ema.load_ema(diffusion, config.ema_length), strict=False)
        settle_spectral_norms(network)  # they were estimated on the weights of another EMA
    classes = _classes(diffusion, network)
    chosen = _choose_classes(config.classes, classes, diffusion)
    guide, is_told = None, False
    if config.guidance_scale != 1:
        assert config.guide is not None
        is_told = config.guide.kind != "unconditional"
        guide = bake_spectral_norms(_load_guide(config.guide, diffusion, network)).to(device)
    plain = bake_spectral_norms(network).to(device)
    return Networks(plain, guide, is_told, classes, chosen)


def takes_class(network: Denoiser) -> bool:
    """Whether it must be told a class, be it that none is said."""
    condition: ConditionConfig | None = getattr(network.config, "condition", None)
    return condition is not None and condition.num_classes > 0


def _classes(folder: Path, network: Denoiser) -> tuple[str, ...]:
    """Names of the classes that a network takes, by label."""
    condition: ConditionConfig | None = getattr(network.config, "condition", None)
    if condition is None:
        return ()
    if condition.token_width or condition.map_channels:
        raise BadInput(f"{folder} needs tokens or a map, and the stage 'sample' has none to give")
    names = names_of(weights.record_of(folder))
    if len(names) != condition.num_classes:
        raise BadInput(f"{folder} takes {condition.num_classes} classes and names {len(names)}")
    return names


def _choose_classes(
    asked: tuple[str, ...] | None, known: tuple[str, ...], folder: Path
) -> tuple[str, ...]:
    """The classes to draw."""
    for name in asked or ():
        if not known:
            raise BadInput(f"sample.classes: {folder} knows no classes; set it to null")
        if name not in known:
            shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            raise BadInput(f"sample.classes: {folder} knows no class '{name}'; it knows {shown}")
    return asked or known


def _load_guide(config: GuideConfig, diffusion: Path, network: Denoiser) -> Denoiser:
    if config.kind == "unconditional":
        if not takes_class(network):
            raise BadInput(
                f"sample.guide: {diffusion} takes no class, so there is nothing to leave out; take "
                "kind: ema or model, or train it with diffusion.model.condition"
            )
        return network
    if config.kind == "ema":
        assert config.ema_length is not None
        guide = load_denoiser(diffusion)
        found = ema.load_ema(diffusion, config.ema_length, config.images_seen)
        guide.load_state_dict(found, strict=False)
        return settle_spectral_norms(guide)
    assert config.path is not None
    folder = Path(config.path)
    _check_files(folder, str(config.sha256))
    guide = load_denoiser(folder)
    _check_fit(folder, weights.record_of(diffusion), _windows(network), _windows(guide))
    both = _classes(folder, guide), _classes(diffusion, network)
    if takes_class(guide) and both[0] != both[1]:
        raise BadInput(
            f"sample.guide.path: {folder} takes the classes {both[0]}, the model that it is to "
            f"guide {both[1]}; a guide takes the same ones, or none"
        )
    return guide


def _check_files(folder: Path, sha256: str) -> None:
    """The digest in the params says which model was meant, so equal params mean equal pictures."""
    try:
        found = sha256_of(folder / "model.safetensors")
    except OSError as error:
        raise BadInput(f"sample.guide.path: {folder} cannot be read: {error}") from error
    if found != sha256:
        raise BadInput(
            f"sample.guide.path: {folder / 'model.safetensors'} has sha256 {found}, but "
            f"sample.guide.sha256 is {sha256}; name the model that was meant, or its digest"
        )


def _check_fit(folder: Path, facts: dict[str, Any], windows: object, of_guide: object) -> None:
    found = weights.record_of(folder)
    for name in ("autoencoder_sha256", "level_shapes"):
        if found.get(name) != facts[name]:
            raise BadInput(
                f"sample.guide.path: {folder} has {name} {found.get(name)}, the model that it is "
                f"to guide has {facts[name]}; both must be trained on the same latents"
            )
    if windows != of_guide:
        raise BadInput(
            f"sample.guide.path: {folder} was trained with windows {of_guide}, the model that it "
            f"is to guide with {windows}; their times must mean the same"
        )


def _windows(network: Denoiser) -> object:
    return getattr(network.config, "windows", None)
