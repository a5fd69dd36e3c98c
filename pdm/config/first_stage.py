"""One of LDM's first stages, in place of the pyramid autoencoder."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pdm.config.common import STRICT, require

FirstStageName = Literal[
    "kl-f4", "kl-f8", "kl-f16", "kl-f32", "vq-f4", "vq-f4-noattn", "vq-f8", "vq-f16"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStageConfig:
    """Which one, and how wide."""

    __pydantic_config__: ClassVar = STRICT

    name: FirstStageName  # as released: KL or VQ, and the downsampling
    base_width: int  # channels at full size; 128 gives the published networks
    latent_scale: Literal["channel", "scalar"]  # one deviation for each channel, or as published
    latent_weight: float  # KL: of its mean per value; VQ: of the codebook loss (1.0 as published)

    @property
    def downsampling(self) -> int:
        """Side of a picture over the side of its latent."""
        return int(self.name.split("-")[1].removeprefix("f"))

    def __post_init__(self) -> None:
        require(
            self.base_width >= 8,
            "base_width",
            self.base_width,
            "at least 8 (128 for the published network)",
        )
        weight = self.latent_weight
        require(weight >= 0, "latent_weight", weight, "a number of at least 0")
