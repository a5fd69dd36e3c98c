"""The pyramid UNet: one velocity for every level of a pyramid of latents, all levels at once.

Its trunk runs over the resolutions of the latents. On the way down each level's latent is added at
its own resolution (Res-Skip); on the way up a head per level predicts its velocity. The global
level enters through the embedding that modulates every block, and a small MLP predicts its
velocity. A pyramid without a global level, such as LDM's single latent, needs neither. An
untrained network predicts zero everywhere. Any size of image works. For levels whose data it
predicts (`predicts`), its output becomes a velocity at the end.

Where levels have their own times, a level with a time below 0 has not begun: the trunk gets zeros
for it. In evaluation mode, if no image of a batch has begun a fine level, the stages that only
that level needs do not run. No other velocity changes.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.unet import UNetConfig
from pdm.models.condition import NO_CONDITION, Condition
from pdm.models.denoiser import Denoiser
from pdm.models.layers.attention import CrossAttention, SpatialChannelAttention
from pdm.models.layers.blocks import ModulatedBlock, modulate_blocks
from pdm.models.levels.parameterisation import velocity_of_data
from pdm.models.levels.pyramid import Downsampling, Pyramid
from pdm.models.text import TextLayer, TextTransformer, encode_text_condition
from pdm.models.unet_parts.embedding import Embedding, GlobalTrunk
from pdm.models.unet_parts.resolutions import Resolutions, condition_channels_of, stage_specs
from pdm.models.unet_parts.stages import Context, DownStage, Layer, UpStage
from pdm.models.unet_parts.streams import (
    FallingDropout,
    average_to,
    downsample,
    merge_levels,
    split_levels,
    upsample,
)


class PyramidUNet(Denoiser):
    """Velocity field over pyramids.

    Args:
        config: Widths and layers; its lists run from the finest level's resolution on.
        level_channels: Channels of each level, coarse to fine.
        level_downsamplings: Coarse to fine; "global" may be the first.
    """

    block_types = (ModulatedBlock, SpatialChannelAttention, CrossAttention, TextLayer)
    config_type = UNetConfig
    section = "diffusion.model"

    def __init__(
        self,
        config: UNetConfig,
        level_channels: tuple[int, ...],
        level_downsamplings: tuple[Downsampling, ...],
    ) -> None:
        super().__init__(config, level_channels, level_downsamplings)
        maps = condition_channels_of(config, level_downsamplings)
        if not config.branches:
            level_channels = (sum(level_channels),)
            level_downsamplings = level_downsamplings[-1:]
        self.num_levels = len(level_channels)
        self.resolutions = Resolutions(len(config.widths), level_downsamplings)
        channels = dict(zip(level_downsamplings, level_channels, strict=True))
        global_channels = channels.get("global")
        self.embedding = Embedding(
            config.embedding_width,
            self.num_levels if config.has_level_times else 1,
            global_channels,
            config.condition.num_classes if config.condition else 0,
            summed=config.time_embedding == "summed",
        )
        text = config.condition.text if config.condition else None
        self.text = None if text is None else TextTransformer(text)
        specs = stage_specs(config, self.resolutions.factors, channels, maps)
        self.down = nn.ModuleList(DownStage(spec, config) for spec in specs)
        self.middle = Layer(config.widths[-1], specs[-1], config)
        self.global_trunk = (
            None
            if global_channels is None
            else GlobalTrunk(global_channels, config.widths[-1], config.embedding_width)
        )
        self.up = nn.ModuleList(UpStage(spec, config) for spec in specs)
        self._modulated = [block for block in self.modules() if isinstance(block, ModulatedBlock)]

    @property
    def condition_sizes(self) -> ConditionConfig | None:
        """See `Denoiser.condition_sizes`."""
        sizes: ConditionConfig | None = self.config.condition
        return sizes

    def forward(self, pyramid: Pyramid, t: Tensor, condition: Condition = NO_CONDITION) -> Pyramid:
        """Predict the velocity of every level; same shapes as the pyramid.

        Args:
            pyramid: Noisy latents of all levels.
            t: (B,) in [0, 1], or (B, levels) where the network takes a time for each level. Below 0
                a level has not begun, above 1 it is finished; its velocity is then arbitrary.
            condition: With the parts that the network was built for.

        Raises:
            ValueError: The condition is not what it was built for, or it takes one time only.
        """
        condition.check(self.config.condition)
        condition = self.encode_text(condition)
        if self.config.branches:
            outputs = self._velocities(pyramid, t, condition)
        else:
            if condition.levels is not None:
                condition = replace(condition, levels=(merge_levels(condition.levels),))
            merged = self._velocities((merge_levels(pyramid),), t, condition)[0]
            outputs = split_levels(merged, pyramid)
        if self.config.predicts is None:
            return outputs
        times = t.view(len(t), -1).expand(-1, len(pyramid)).unbind(1)
        parts = zip(self.config.predicts, outputs, pyramid, times, strict=True)
        return tuple(
            velocity_of_data(output, x, time) if what == "data" else output
            for what, output, x, time in parts
        )

    def encode_text(self, condition: Condition) -> Condition:
        """See `Denoiser.encode_text`."""
        return encode_text_condition(self.text, condition)

    def set_dropout(self, left: Tensor) -> None:
        """See `Denoiser.set_dropout`."""
        falling = [module.left for module in self.modules() if isinstance(module, FallingDropout)]
        if falling:
            torch._foreach_copy_(falling, [left.mean()] * len(falling))

    def _velocities(self, pyramid: Pyramid, t: Tensor, condition: Condition) -> Pyramid:
        if t.ndim == 2 and not self.config.has_level_times:
            raise ValueError(
                "this network has one time for all levels, got one for each (see level_times)"
            )
        first = 0
        if self.config.has_level_times:
            first = self._first_stage(t)
            t = t.view(len(t), -1).expand(-1, self.num_levels)
            pyramid = tuple(
                level * (time >= 0).to(level.dtype).view(-1, 1, 1, 1)
                for level, time in zip(pyramid, t.unbind(1), strict=True)
            )
        latent = None if self.global_trunk is None else pyramid[0][:, :, 0, 0]
        times = t.clamp(0, 1) if self.config.has_level_times else t
        stage = (t >= 0).sum(dim=1) - 1 if self.config.time_embedding == "summed" else None
        embedding = self.embedding(times, latent, condition.label, stage)
        modulations = modulate_blocks(self._modulated, embedding)
        context = Context(embedding, condition.tokens, condition.mask, modulations)
        maps = self._run_down(pyramid, t, first, condition, context)
        return self._run_up(pyramid, latent, first, maps, context)

    def _run_down(
        self, pyramid: Pyramid, t: Tensor, first: int, condition: Condition, context: Context
    ) -> list[list[Tensor]]:
        """Run the way down; return every layer's maps, by resolution, from `first` on."""
        features = self._zeros_before(pyramid, first)
        maps: list[list[Tensor]] = []
        for index in range(first, len(self.resolutions)):
            latent = self.resolutions.latent_at(index, pyramid)
            finer = [pyramid[level] for level in self.resolutions.levels_until(index)]
            maps_of_condition = self._condition_maps(condition, latent, index)
            maps.append(self.down[index](features, latent, finer, *maps_of_condition, context))
            if index < len(self.resolutions) - 1:
                features = downsample(maps[-1][-1], self.config.resampling)
                if self.config.has_level_times:
                    features = features * self.resolutions.has_begun(index, t).to(features.dtype)
        return maps

    def _run_up(
        self,
        pyramid: Pyramid,
        latent: Tensor | None,
        first: int,
        maps: list[list[Tensor]],
        context: Context,
    ) -> Pyramid:
        """Run the way up; return all levels' velocities, zeros for stages before the first."""
        velocities: dict[int, Tensor] = {}  # by level
        features = self.middle(maps[-1][-1], context)
        if self.global_trunk is not None:
            global_velocity = self.global_trunk(latent, features, context.embedding)
            velocities[0] = global_velocity[:, :, None, None]
        coarser = None
        for index in reversed(range(first, len(self.resolutions))):
            stage = self.up[index]
            assert isinstance(stage, UpStage)
            features = stage(features, maps[index - first], context)
            level = self.resolutions.level_at(index)
            if level is not None:
                coarser = stage.velocity(features, coarser)
                velocities[level] = coarser
            if index > first:
                features = stage.narrow(features)
                features = upsample(features, self.config.resampling)
        return tuple(
            velocities[number] if number in velocities else torch.zeros_like(level)
            for number, level in enumerate(pyramid)
        )

    def _condition_maps(
        self, condition: Condition, latent: Tensor | None, index: int
    ) -> tuple[Tensor | None, Tensor | None]:
        """Return the condition's map and level map at the resolution of a stage's level."""
        whole_map, levels = condition.map, condition.levels
        level = self.resolutions.level_at(index)
        if latent is None or level is None:
            return None, None
        map_number = level - (self.global_trunk is not None)
        return (
            None if whole_map is None else average_to(whole_map, latent),
            None if levels is None else levels[map_number],
        )

    def _first_stage(self, t: Tensor) -> int:
        """Return the finest stage that an image of the batch needs; in training, all stages run.

        In training all workers must run the same stages, and some image needs each of them.
        """
        if self.training or t.ndim == 1:
            return 0
        return self.resolutions.finest_needed(t)

    def _zeros_before(self, pyramid: Pyramid, first: int) -> Tensor | None:
        """Return zeros in place of a finer stage's features, for the first stage that runs."""
        if first == 0:
            return None
        latent = self.resolutions.latent_at(first, pyramid)
        assert latent is not None
        return latent.new_zeros(len(latent), self.config.widths[first - 1], *latent.shape[2:])
