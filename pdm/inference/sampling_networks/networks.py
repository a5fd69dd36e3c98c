"""The networks that pictures are sampled from, with the velocity that they give together."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pdm.config.stages.sample import SampleConfig
from pdm.diffusion.flow import Velocity
from pdm.diffusion.guidance import apply_guidance, in_one_batch
from pdm.inference.conditioning import NO_CONDITIONING, Conditioning
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
    # Whether the guide gets the picture's condition; if not, the empty one, if it takes any.
    guide_gets_condition: bool = False
    conditioning: Conditioning = NO_CONDITIONING  # what the pictures of the seeds show
    stops: Tensor | None = None  # of a network that was distilled for few steps; None for a flow

    def condition(self, seeds: Sequence[int]) -> Condition:
        """Return the condition of these seeds' pictures, on the networks' device."""
        return self.to_device(self.conditioning.condition(seeds))

    def to_device(self, condition: Condition) -> Condition:
        """Move a condition to the networks' device."""
        device = next(self.network.parameters()).device
        return condition.change(lambda tensor: tensor.to(device))

    def negative(self, seeds: Sequence[int]) -> Condition | None:
        """Return what guidance steers these seeds' pictures away from; None for no condition."""
        negative = self.conditioning.negative(seeds)
        return None if negative is None else self.to_device(negative)

    def velocity(
        self, config: SampleConfig, condition: Condition, negative: Condition | None = None
    ) -> Velocity:
        """Make the velocity of pictures of a condition, with guidance as the config says.

        Args:
            config: Section `sample` of the params.
            condition: What the pictures show.
            negative: What a guide without their condition gets; None for the empty condition.
        """
        shown = self.network.encode_text(condition)
        velocity = in_precision(with_condition(self.network, shown), config)
        if self.guide is None or config.guidance_scale == 1:
            return velocity
        of_guide = self.guide.encode_text(self._condition_of_guide(condition, negative))
        guide, both = in_precision(with_condition(self.guide, of_guide), config), None
        if self.guide is self.network and not condition.is_empty:
            twice = with_condition(self.network, concatenate(shown, of_guide))
            both = in_one_batch(in_precision(twice, config))
        scale, interval = config.guidance_scale, config.guidance_interval
        return apply_guidance(velocity, guide, scale, interval, both)

    def _condition_of_guide(self, condition: Condition, negative: Condition | None) -> Condition:
        assert self.guide is not None
        sizes = self.guide.condition_sizes
        if sizes is None:
            return NO_CONDITION
        if self.guide_gets_condition:
            return condition
        return drop_condition(sizes, condition) if negative is None else negative
