"""What a distillation takes before it begins."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.models.levels.pyramid import Downsampling, LevelShape
from pdm.training.distillation.stage import distillation_config
from pdm.training.monitoring.cost.footprint import (
    CONVOLUTION_BYTES,
    Footprint,
    diffusion_footprint,
)


def distillation_footprint(
    config: DiffusionConfig,
    level_shapes: tuple[LevelShape, ...],
    level_downsamplings: tuple[Downsampling, ...],
    facts: Mapping[str, Any] | None = None,
) -> Footprint:
    """Predict what the distillation of a flow takes, like `diffusion_footprint`.

    The student is evaluated at all steps of a trajectory at once, so it is predicted as a training
    of the flow on `distil.steps` times as many latents. Beside it are the teacher's weights and the
    points of the trajectories; the teacher itself keeps nothing for a backward pass.

    Args:
        config: With `distil`.
        level_shapes: Of the latents, coarse to fine.
        level_downsamplings: Likewise.
        facts: Those of the latents' manifest, see `build_denoiser`.
    """
    distil = config.distil
    assert distil is not None
    student = replace(distillation_config(config), lora=None, init_from=None)
    count = student.training.micro_batch_size(student.training.num_workers)
    found = diffusion_footprint(
        student, level_shapes, level_downsamplings, count * distil.steps, facts
    )
    values = sum(channels * height * width for channels, height, width in level_shapes)
    points = 4 * count * values * (distil.teacher_steps + 1)
    memory = {"teacher": 4 * found.parameters} | found.memory
    memory["activations"] += points
    memory["kernels"] += CONVOLUTION_BYTES  # of the teacher, whose batches are smaller
    flops = found.flops_per_step
    if flops is not None:  # a pass forward is a third of one forward and back
        flops *= 1 + distil.teacher_steps / (3 * distil.steps)
    return replace(
        found,
        micro_batch_size=count,
        images_per_step=found.images_per_step // distil.steps,
        flops_per_step=flops,
        memory=memory,
    )
