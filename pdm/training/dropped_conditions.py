"""Leaves the condition out for a share of the pictures, as classifier-free guidance needs it."""

from pdm.config.networks.condition import ConditionConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.models.condition import Condition
from pdm.tasks.task import Task
from pdm.training.loop.seeds import uniform_at


def drop_some(
    condition: Condition,
    task: Task,
    sizes: ConditionConfig,
    config: DiffusionConfig,
    positions: range,
) -> Condition:
    """Return the condition with the empty one for some pictures, chosen by their positions.

    Args:
        condition: Of the pictures at these positions.
        task: What the network is conditioned on.
        sizes: Sizes of the network's condition.
        config: The share, `condition_dropout`, and the seed.
        positions: In the run.
    """
    dropped = uniform_at(config.training.seed, positions, "condition") < config.condition_dropout
    return task.drop(sizes, condition, dropped)
