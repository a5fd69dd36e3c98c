"""What a distillation trains on: the noise where the teacher's trajectories begin."""

import torch

from pdm.config.networks.condition import ConditionConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.data.bucket_order import BucketOrder
from pdm.data.shards.latents import LatentShards
from pdm.models.condition import NO_CONDITION
from pdm.tasks.examples import examples_of_seeds
from pdm.tasks.find import build_task
from pdm.tasks.task import Encode, Task, refuse_to_encode
from pdm.training.dropped_conditions import drop_some
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.seeds import normal_pyramid_at


class TrajectoryStarts:
    """Noise by position in the run, where the teacher's trajectories begin, and a condition for
    each. Those of a step have one size; sizes come as often as in a training on the pictures.

    Args:
        latents: For shapes, number of classes and pictures.
        config: With the settings of the distillation.
        purpose: Of the noise; another purpose gives other noise.
        batch_size: Trajectories of a step, over all workers.
        sizes: Sizes of the network's condition.
        encode: Encodes pictures for a task that needs it.
        task: Makes the conditions; None for a task that has no files.
    """

    def __init__(
        self,
        latents: LatentShards,
        config: DiffusionConfig,
        purpose: str,
        batch_size: int,
        sizes: ConditionConfig | None = None,
        encode: Encode = refuse_to_encode,
        task: Task | None = None,
    ) -> None:
        self.config, self.purpose = config, purpose
        counts = tuple(map(len, latents.bucket_ranges))
        self.order = BucketOrder(counts, batch_size, config.training.seed)
        self.buckets, self.shapes = [latents], [latents.level_shapes]
        if len(counts) > 1:
            self.buckets = [latents.only(place) for place in range(len(counts))]
            self.shapes = [latents.shapes_in(place) for place in range(len(counts))]
        facts = latents.manifest.facts if sizes is not None else {}
        self.task = task or build_task(config.effective_task, facts)
        self.sizes, self.encode = sizes, encode

    @torch.no_grad()
    def load(self, positions: range) -> Batch:
        """Load noise, and the condition: all classes or pictures in turn, and for a share of
        them none."""
        seed, bucket = self.config.training.seed, self.order.bucket_at(positions)
        noise = normal_pyramid_at(seed, positions, self.purpose, self.shapes[bucket])
        if self.sizes is None:
            return noise, NO_CONDITION
        places = self.order.places_at(positions)
        examples = examples_of_seeds(self.task, self.buckets[bucket], places)
        condition = self.task.condition(examples, self.encode)
        return noise, drop_some(condition, self.task, self.sizes, self.config, positions)

    def keys(self, positions: range) -> list[str]:
        """Name the noise."""
        return [f"noise {position}" for position in positions]
