"""Writes the model: the flow's folder, with the student in it."""

import shutil
from pathlib import Path

from torch import Tensor

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.task import FACT
from pdm.data.annotations.maps import FACT as MAP_CLASSES
from pdm.data.shards import listing
from pdm.data.shards.buckets import FACT as BUCKETS
from pdm.files import atomic_folder, sha256_of
from pdm.model_record import record_of
from pdm.models.denoiser import Denoiser
from pdm.training.checkpoints import finished
from pdm.training.monitoring.few_steps_card import few_steps_card
from pdm.weights import FEW_STEPS

SHARED_FACTS = (  # that the student has in common with the flow
    *("level_shapes", "image_height_px", "image_width_px", "latents_sha256"),
    *("shards_sha256", "autoencoder_sha256", "parameters", "forward_flops"),
    *("classes", MAP_CLASSES, FACT, BUCKETS),
)


def write_model(
    model: Path,
    student: Denoiser,
    stops: Tensor,
    *,
    config: DiffusionConfig,
    flow: Path,
    images_seen: int,
) -> None:
    """Write the folder of the flow again, atomically, with the student in it.

    Args:
        model: Folder to write, which may be that of the flow.
        student: The student's EMA.
        stops: Of its steps, (steps + 1,) or (steps + 1, levels).
        config: With `distil`.
        flow: Folder of the finished flow.
        images_seen: Trajectories that it was trained on.
    """
    record = record_of(flow)
    assert config.distil is not None
    teacher = sha256_of(flow / finished.WEIGHTS)
    with atomic_folder(model) as folder:
        shutil.copytree(flow, folder, dirs_exist_ok=True)
        shutil.rmtree(folder / FEW_STEPS, ignore_errors=True)
        student.save_pretrained(
            folder / FEW_STEPS,
            beside=[flow / listing.FILE_NAME],
            card=few_steps_card(config.distil, teacher, record, images_seen),
            **{name: record[name] for name in SHARED_FACTS if name in record},
            images_seen=images_seen,
            stops=stops.tolist(),
            distilled_from={"sha256": teacher, "images_seen": record["images_seen"]},
        )
