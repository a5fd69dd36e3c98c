"""The interface of every denoising network of the project.

It predicts the velocity of every level of a pyramid of noisy latents, at times from 0 (noise) to 1
(data); see `pdm.diffusion.flow`.
"""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from pdm import weights
from pdm.config.networks.condition import ConditionConfig
from pdm.config.records import from_record
from pdm.models.condition import NO_CONDITION, Condition
from pdm.models.levels.pyramid import Downsampling, Pyramid


class Denoiser(nn.Module):
    """A velocity field over pyramids of latents; each design overrides `forward`.

    Attributes:
        config: Everything that the design's constructor takes besides the levels.
        facts: `level_channels` and `level_downsamplings`, coarse to fine; also of a loaded model,
            whose other facts stay in its folder's `config.json`.
    """

    # What activation checkpointing recomputes and FSDP shards as one; no block within another.
    block_types: ClassVar[tuple[type[nn.Module], ...]]
    config_type: ClassVar[type]
    section: ClassVar[str]  # of the params, which has the config
    # Whether it enlarges from a mix of noise and the enlarged image, whatever its factor, and not
    # from noise; the image is then encoded once, and not for each tile.
    begins_at_image: ClassVar[bool] = False
    config: Any
    facts: dict[str, Any]

    def __init__(
        self,
        config: Any,
        level_channels: tuple[int, ...],
        level_downsamplings: tuple[Downsampling, ...],
    ) -> None:
        super().__init__()
        self.config = config
        self.facts = {"level_channels": level_channels, "level_downsamplings": level_downsamplings}

    @property
    def condition_sizes(self) -> ConditionConfig | None:
        """Sizes of the condition that it takes; None where it takes none."""
        return None

    @abstractmethod
    def forward(self, pyramid: Pyramid, t: Tensor, condition: Condition = NO_CONDITION) -> Pyramid:
        """Predict the velocity of every level; same shapes as the pyramid.

        Args:
            pyramid: Noisy latents of all levels, coarse to fine, each (B, C, h, w).
            t: (B,) in [0, 1], or (B, levels) where the network takes a time for each level.
            condition: With the parts that the network was built for.
        """

    def own_times(self, steps: int) -> Tensor | None:
        """Return the stops of a sampler, (steps + 1,), of a network that was trained at some times
        only; None for one that knows all."""
        return None

    def encode_text(self, condition: Condition) -> Condition:
        """Replace word pieces by token states, so that many calls encode a text once.

        The velocity is the same; here the condition stays as it is.
        """
        return condition

    @abstractmethod
    def set_dropout(self, left: Tensor) -> None:
        """Set the rates of all dropout that falls during training.

        Args:
            left: Fractions of the training that are left, of any shape; each initial rate is
                multiplied by their mean.
        """

    def save_pretrained(self, folder: Path, **facts: Any) -> None:
        """Write `config.json`, with the facts, and `model.safetensors`; see `pdm.weights.save`."""
        known: dict[str, Any] = self.facts | facts
        weights.save(folder, type(self).__name__, self.config, self.state_dict(), **known)

    @classmethod
    def from_pretrained(cls, folder: Path) -> Self:
        """Load what `save_pretrained` wrote, on the CPU and in evaluation mode.

        Raises:
            BadInput: The folder is missing or damaged, or holds another kind of model.
        """
        record, tensors = weights.load(folder, cls.__name__)
        with weights.explain_misfit(folder):
            model = cls(
                from_record(cls.config_type, record["config"], cls.section),
                tuple(record["level_channels"]),
                tuple(record["level_downsamplings"]),
            )
            model.load_state_dict(tensors)
        return model.eval()
