"""What the workers of a distillation are given."""

from dataclasses import dataclass
from pathlib import Path

from pdm.config.stages.diffusion import DiffusionConfig
from pdm.tasks.text import TextFiles
from pdm.training import diffusion
from pdm.training.monitoring.samples.scores import BuildReferenceDistance

NAME = "diffusion, few steps"  # in the log


@dataclass(frozen=True)
class Settings:
    """Everything a worker needs. Paths are absolute; those in `config` are relative to
    `working_folder`.

    Args:
        config: With the settings of the distillation in place of `training`.
        run: Folder from `run_folder`.
        flow: Folder of the finished flow.
    """

    config: DiffusionConfig
    build_reference_distance: BuildReferenceDistance
    latents: Path
    run: Path
    model: Path
    flow: Path
    autoencoder: Path
    working_folder: Path = Path()

    @property
    def text_files(self) -> TextFiles:
        """Where a task of text has its files: the vocabulary is the flow's, and states of frozen
        encoders are where its training keeps them."""
        flow_run = self.run.parent.parent
        return TextFiles(self.flow, diffusion.text_cache(flow_run), self.working_folder)
