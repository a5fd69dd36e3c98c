"""The model card of a network that was distilled for few steps: `README.md` in its folder."""

from collections.abc import Mapping
from typing import Any

from pdm.config.training.distil import DistilConfig


def few_steps_card(
    distil: DistilConfig, teacher: str, flow: Mapping[str, Any], images_seen: int
) -> str:
    """Write the card in Markdown: what it is, and from which teacher it was distilled.

    Args:
        distil: How it was trained.
        teacher: sha256 of the teacher's weights.
        flow: The teacher's `config.json`.
        images_seen: Trajectories that it was trained on.
    """
    size = f"{flow['image_width_px']}x{flow['image_height_px']}"
    return f"""---
library_name: pyramid-diffusion
license: other
tags: [diffusion, image, distilled]
---

# Diffusion model for {distil.steps} steps, images of {size}

Distilled from the flow in the folder above (`model.safetensors` with sha256
`{teacher}`, trained on {flow["images_seen"]:,} images): a copy of it
was trained on {images_seen:,} trajectories of the flow from noise to data in {distil.teacher_steps}
steps. It has seen no image but through its teacher, and may retain traces of the teacher's.

Its predictions are right for `multistep` between the stops in `config.json`: no other steps,
samplers or guidance fit. `pyramid sample` takes it with `sample.steps: {distil.steps}`.
"""
