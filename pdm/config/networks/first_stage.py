"""One of LDM's first stages, in place of the pyramid autoencoder."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT
from pdm.config.limits import Limits, NonNegative, check_limits

FirstStageName = Literal[
    "kl-f4", "kl-f8", "kl-f16", "kl-f32", "vq-f4", "vq-f4-noattn", "vq-f8", "vq-f16"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstStageConfig:
    """Name and width of the first stage."""

    __pydantic_config__: ClassVar = STRICT

    name: Annotated[FirstStageName, "as released: KL or VQ, and the downsampling"]
    base_width: Annotated[
        Annotated[int, Limits(at_least=8, at_most=4096)],
        "channels at full size; 128 gives the published network",
    ]
    latent_scale: Annotated[
        Literal["channel", "scalar"], "standardise each channel, or all alike as published"
    ]
    # LDM sums KL and L1 over an image (contperceptual.py), and averages with VQ
    latent_weight: Annotated[
        NonNegative, "as in LDM's code: of the KL (1.0e-6 as published) or the codebook loss (1.0)"
    ]

    @property
    def downsampling(self) -> int:
        """Side of an image divided by the side of its latent."""
        return int(self.name.split("-")[1].removeprefix("f"))

    def __post_init__(self) -> None:
        check_limits(self)
