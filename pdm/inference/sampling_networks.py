"""The networks of sampling: the diffusion model with the EMA asked for, its classes, and the guide
of classifier-free guidance (CFG) or autoguidance, if any."""

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
from pdm.diffusion.guidance import apply_guidance, in_one_batch
from pdm.errors import BadInput
from pdm.files import check_sha256
from pdm.models.condition import with_class_label
from pdm.models.denoiser import Denoiser
from pdm.models.spectral_norm import bake_spectral_norms, settle_spectral_norms
from pdm.registry import load_denoiser


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks to sample from, in evaluation mode, on one device."""

    network: Denoiser
    guide: Denoiser | None = None  # None without guidance
    # Whether the guide gets the picture's class; otherwise one that takes a class gets "no class".
    guide_gets_class: bool = False
    classes: tuple[str, ...] = ()  # classes of the network, by label
    chosen: tuple[str, ...] = ()  # classes of the pictures to draw
    stops: Tensor | None = None  # of a network that was tuned for few steps; None for a flow

    def class_of(self, seed: int) -> str | None:
        """Give the class of a seed's picture, whatever its batch; None without classes."""
        return self.chosen[seed % len(self.chosen)] if self.chosen else None

    def velocity(self, config: SampleConfig, seeds: Sequence[int]) -> Velocity:
        """Make the velocity of these seeds' pictures, with guidance as the config says."""
        labels = self._labels(seeds)
        velocity = with_class_label(self.network, labels)
        if self.guide is None:
            return velocity
        guide_labels = labels if takes_class(self.guide) else None
        if guide_labels is not None and not self.guide_gets_class:
            guide_labels = torch.full_like(guide_labels, len(self.classes))
        guide, both = with_class_label(self.guide, guide_labels), None
        if self.guide is self.network and labels is not None and guide_labels is not None:
            twice = with_class_label(self.network, torch.cat([labels, guide_labels]))
            both = in_one_batch(twice)
        scale, interval = config.guidance_scale, config.guidance_interval
        return apply_guidance(velocity, guide, scale, interval, both)

    def _labels(self, seeds: Sequence[int]) -> Tensor | None:
        if not self.classes:
            return None
        names = [self.class_of(seed) for seed in seeds]
        return labels_of(names, self.classes).to(next(self.network.parameters()).device)


def load_networks(diffusion: Path, config: SampleConfig, device: torch.device) -> Networks:
    """Load the networks that the section `sample` asks for.

    With as many steps as a network in the folder was tuned for, it is that network; see
    `takes_few_steps`.

    Raises:
        BadInput: A model is missing, has no EMA snapshots, or cannot guide this one.
    """
    if takes_few_steps(diffusion, config):
        return _load_few_steps(diffusion, config, device)
    network = load_denoiser(diffusion)
    if config.ema_length is not None:
        network.load_state_dict(ema.load_ema(diffusion, config.ema_length), strict=False)
        settle_spectral_norms(network)  # they were estimated on the weights of another EMA
    classes = _classes(diffusion, network)
    chosen = _choose_classes(config.classes, classes, diffusion)
    guide, gets_class = None, False
    if config.guidance_scale != 1:
        assert config.guide is not None
        gets_class = config.guide.kind != "unconditional"
        guide = bake_spectral_norms(_load_guide(config.guide, diffusion, network)).to(device)
    plain = bake_spectral_norms(network).to(device)
    return Networks(plain, guide, gets_class, classes, chosen)


def takes_few_steps(diffusion: Path, config: SampleConfig) -> bool:
    """Tell whether the network that was tuned for few steps (`diffusion.distil`) is sampled from.

    It is if the model has one for exactly `sample.steps`, whichever sampler of fixed steps is
    chosen: it has its own. An adaptive sampler and `ddim` always take the flow.
    """
    folder = diffusion / weights.FEW_STEPS
    if config.sampler in ("adaptive", "ddim") or not folder.is_dir():
        return False
    return len(weights.record_of(folder)["stops"]) == config.steps + 1


def _load_few_steps(diffusion: Path, config: SampleConfig, device: torch.device) -> Networks:
    folder = diffusion / weights.FEW_STEPS
    for name, neutral in (("guidance_scale", 1.0), ("ema_length", None)):
        if (value := getattr(config, name)) != neutral:
            raise BadInput(
                f"sample.{name} is {value}, but {folder}, the network for {config.steps} steps, "
                f"takes none; set it to {'null' if neutral is None else neutral}, or take another "
                "number of steps"
            )
    network = load_denoiser(folder)
    classes = _classes(folder, network)
    chosen = _choose_classes(config.classes, classes, folder)
    stops = torch.tensor(weights.record_of(folder)["stops"], dtype=torch.float64)
    return Networks(
        bake_spectral_norms(network).to(device), classes=classes, chosen=chosen, stops=stops
    )


def takes_class(network: Denoiser) -> bool:
    """Tell whether a network takes a class (or the label for no class)."""
    condition: ConditionConfig | None = getattr(network.config, "condition", None)
    return condition is not None and condition.num_classes > 0


def _classes(folder: Path, network: Denoiser) -> tuple[str, ...]:
    """Give the names of the classes that a network takes, by label."""
    condition: ConditionConfig | None = getattr(network.config, "condition", None)
    if condition is None:
        return ()
    if condition.token_width or condition.map_channels:
        raise BadInput(f"{folder} takes tokens or a map, which the stage 'sample' cannot supply")
    names = names_of(weights.record_of(folder))
    if len(names) != condition.num_classes:
        raise BadInput(f"{folder} takes {condition.num_classes} classes but names {len(names)}")
    return names


def _choose_classes(
    asked: tuple[str, ...] | None, known: tuple[str, ...], folder: Path
) -> tuple[str, ...]:
    """Choose the classes to draw: those asked for, or all that the network knows."""
    for name in asked or ():
        if not known:
            raise BadInput(f"sample.classes: {folder} has no classes; set it to null")
        if name not in known:
            listed = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
            raise BadInput(f"sample.classes: {folder} has no class '{name}'; it has {listed}")
    return asked or known


def _load_guide(config: GuideConfig, diffusion: Path, network: Denoiser) -> Denoiser:
    if config.kind == "unconditional":
        if not takes_class(network):
            raise BadInput(
                f"sample.guide: {diffusion} takes no class, so classifier-free guidance cannot "
                "leave it out; choose kind: ema or model, or train it with "
                "diffusion.model.condition"
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
    # Equal params must give equal pictures.
    check_sha256(folder / "model.safetensors", str(config.sha256), "sample.guide")
    guide = load_denoiser(folder)
    _check_fit(folder, weights.record_of(diffusion), _schedule(network), _schedule(guide))
    both = _classes(folder, guide), _classes(diffusion, network)
    if takes_class(guide) and both[0] != both[1]:
        raise BadInput(
            f"sample.guide.path: {folder} has the classes {both[0]}, but the model to guide has "
            f"{both[1]}; a guide needs the same classes, or none"
        )
    return guide


def _check_fit(folder: Path, facts: dict[str, Any], schedule: object, of_guide: object) -> None:
    found = weights.record_of(folder)
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
