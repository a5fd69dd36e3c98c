"""The networks that images are sampled from, with the velocity that they give together."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pdm.config.stages.sample import SampleConfig
from pdm.diffusion.flow import Velocity
from pdm.diffusion.guidance import apply_guidance, in_one_batch
from pdm.inference.conditioning import NO_CONDITIONING, Conditioning, GuidedCondition
from pdm.inference.precision import in_precision
from pdm.models.condition import (
    NO_CONDITION,
    Condition,
    concatenate,
    drop_condition,
    with_condition,
)
from pdm.models.denoiser import Denoiser


@dataclass(frozen=True, slots=True)
class Networks:
    """The networks to sample from, in evaluation mode, on one device."""

    network: Denoiser
    guide: Denoiser | None = None  # None without guidance
    # Whether the guide gets the image's condition; if not, the empty one, if it takes any.
    guide_gets_condition: bool = False
    conditioning: Conditioning = NO_CONDITIONING  # what the images of the seeds show
    stops: Tensor | None = None  # of a network that was distilled for few steps; None for a flow

    def condition(self, seeds: Sequence[int]) -> GuidedCondition:
        """Return the condition of these seeds' images, on the networks' device."""
        return self.to_device(self.conditioning.condition(seeds))

    def to_device(self, condition: GuidedCondition) -> GuidedCondition:
        """Move a condition to the networks' device."""
        device = next(self.network.parameters()).device
        return condition.change(lambda tensor: tensor.to(device))

    def velocity(self, config: SampleConfig, condition: GuidedCondition) -> Velocity:
        """Make the velocity of images of a condition, with guidance as the config says.

        Args:
            config: Section `sample` of the params.
            condition: On the networks' device.
        """
        shown = self.network.encode_text(condition.shown)
        velocity = in_precision(with_condition(self.network, shown), config)
        if self.guide is None or config.guidance_scale == 1:
            return velocity
        of_guide = self.guide.encode_text(self._condition_of_guide(condition))
        guide, both = in_precision(with_condition(self.guide, of_guide), config), None
        if self.guide is self.network and not condition.shown.is_empty:
            twice = with_condition(self.network, concatenate(shown, of_guide))
            both = in_one_batch(in_precision(twice, config))
        scale, interval = config.guidance_scale, config.guidance_interval
        return apply_guidance(velocity, guide, scale, interval, both)

    def _condition_of_guide(self, condition: GuidedCondition) -> Condition:
        assert self.guide is not None
        sizes = self.guide.condition_sizes
        if sizes is None:
            return NO_CONDITION
        if self.guide_gets_condition:
            return condition.shown
        if condition.negative is not None:
            return condition.negative
        return drop_condition(sizes, condition.shown)
