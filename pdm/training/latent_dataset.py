"""Latents to train the flow on: data, noise, times and conditions, by position in the run."""

import torch
from torch import Tensor

from pdm.config.networks.condition import ConditionConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.data.bucket_order import BucketOrder
from pdm.data.shards.latents import LatentShards
from pdm.models.condition import NO_CONDITION, Condition
from pdm.models.levels.pyramid import Pyramid
from pdm.tasks.examples import examples_at
from pdm.tasks.find import build_task
from pdm.tasks.task import Encode, Task, refuse_to_encode
from pdm.training.dropped_conditions import drop_some
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import generator_at, normal_pyramid_at
from pdm.training.objectives.timesteps import TimeDistribution


class LatentDataset:
    """Latents by position in the run, each with its own noise and time. A step has latents of one
    bucket. They are kept by picture, never by step, with its class, captions and map.

    Args:
        shards: Split to train on.
        config: Distribution of the times, the task, and the seed.
        sizes: Sizes of the network's condition.
        encode: Encodes pictures for a task that needs it, on the device of the training.
        task: Makes the conditions; None for a task that has no files.
    """

    def __init__(
        self,
        shards: LatentShards,
        config: DiffusionConfig,
        sizes: ConditionConfig | None = None,
        encode: Encode = refuse_to_encode,
        task: Task | None = None,
    ) -> None:
        self.shards, self.config, self.seed = shards, config, config.training.seed
        facts = shards.manifest.facts if sizes is not None else {}
        self.task = task or build_task(config.effective_task, facts)
        self.sizes, self.encode = sizes, encode
        self.times, self.total = TimeDistribution.of(config), config.training.total_images
        counts = tuple(map(len, shards.bucket_ranges))
        self.order = BucketOrder(counts, config.training.batch_size, self.seed)

    def load(self, positions: range) -> Batch:
        """Load data, noise and, each (B,): times, their weights, and the share of the training that
        is left; then the condition. Maps are in channels_last layout, as those of the network."""
        data = self.shards.batch(self._indices(positions))
        shapes = [(c, h, w) for _, c, h, w in (level.shape for level in data)]
        noise = normal_pyramid_at(self.seed, positions, "noise", shapes)
        times, weights = self._times(positions)
        left = torch.tensor([max(0.0, 1 - place / self.total) for place in positions])
        maps = _channels_last(data), _channels_last(noise)
        return *maps, times, weights, left, self._condition(positions)

    @torch.no_grad()
    def _condition(self, positions: range) -> Condition:
        """Return the condition of each picture; a share of them, chosen by position, is dropped."""
        if self.sizes is None:
            return NO_CONDITION
        task, indices = self.task, self._indices(positions)
        examples = examples_at(task, self.shards, positions, indices, self.seed)
        condition = task.condition(examples, self.encode)
        return drop_some(condition, task, self.sizes, self.config, positions)

    def keys(self, positions: range) -> list[str]:
        """Return the keys of the pictures."""
        return [self.shards.keys[index] for index in self._indices(positions)]

    def _times(self, positions: range) -> tuple[Tensor, Tensor]:
        """Draw times, and give their weights, which noise on finished levels does not change."""
        draws = [self.times.draw(generator_at(self.seed, place, "time")) for place in positions]
        times = torch.stack(draws)
        weights = self.times.weights(times)
        if self.config.finished_level_noise:
            generators = [generator_at(self.seed, place, "finished") for place in positions]
            times = torch.stack(
                [self.times.disturb(*pair) for pair in zip(times, generators, strict=True)]
            )
        return times, self.times.weigh_predicted_data(weights, times)

    def _indices(self, positions: range) -> list[int]:
        start = self.shards.bucket_ranges[self.order.bucket_at(positions)].start
        found: list[int] = (start + self.order.images_at(positions)).tolist()
        return found


def _channels_last(pyramid: Pyramid) -> Pyramid:
    return tuple(level.contiguous(memory_format=torch.channels_last) for level in pyramid)
