"""The pyramid autoencoder's network, in section `autoencoder`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT, Neutral
from pdm.config.limits import (
    Depth,
    Downsampling,
    DropoutRate,
    NonNegative,
    Width,
    check_limits,
    require,
)
from pdm.counts import counted

Skips = Literal["res_skip", "residual", "input_output"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelConfig:
    """One level of the pyramid of latents."""

    __pydantic_config__: ClassVar = STRICT

    downsampling: Annotated[
        Downsampling | Literal["global"], "image side / latent side; global: one 1x1 latent"
    ]
    channels: Annotated[Width, "values at each place of the latent"]
    kl_weight: Annotated[NonNegative, "of the mean KL per value to a standard normal; 0: no noise"]

    def __post_init__(self) -> None:
        check_limits(self)
        factor = self.downsampling
        good = factor == "global" or factor & (factor - 1) == 0
        require(good, "downsampling", factor, '"global" or a power of two')


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderModelConfig:
    """The network. Widths and dropout rates are listed by downsampling: 1, 2, 4, ..."""

    __pydantic_config__: ClassVar = STRICT

    levels: Annotated[tuple[LevelConfig, ...], "coarse to fine; the first is global"]
    encoder_widths: Annotated[tuple[Width, ...], "channels at downsampling 1, 2, 4, ..."]
    decoder_widths: Annotated[tuple[Width, ...], "channels at downsampling 1, 2, 4, ..."]
    encoder_blocks: Annotated[Depth, "residual blocks per resolution"]
    decoder_blocks: Annotated[Depth, "residual blocks per resolution"]
    norm: Annotated[
        Literal["group", "pixel"],
        "group norm, or over each pixel's channels, the same at any image size",
    ]
    attention_from: Annotated[
        Downsampling, "spatial-channel attention where downsampling is at least this"
    ]
    attention_ratio: Annotated[
        Literal["shape", "equal"],
        "spatial to channel attention, by their sizes (shape) or 1 : 1 (equal)",
    ]
    encoder_dropout: Annotated[
        tuple[DropoutRate, ...], "at downsampling 1, 2, 4, ...; falls towards fine detail"
    ]
    decoder_dropout: Annotated[tuple[DropoutRate, ...], "at downsampling 1, 2, 4, ..."]
    encoder_spectral_norm: Annotated[bool, "divide weights by their largest singular value"]
    decoder_spectral_norm: Annotated[bool, "divide weights by their largest singular value"]
    skips: Annotated[
        Skips, "residual: around each block; input_output: from and to the image; res_skip: both"
    ]
    orthogonal_levels: Annotated[
        bool, "remove from each level what the next coarser one could hold", Neutral(False)
    ]
    residual_levels: Annotated[
        bool, "subtract from each level's latents what the coarser ones predict", Neutral(False)
    ]

    @property
    def downsampling(self) -> int:
        """Side of an image divided by the side of its coarsest map."""
        return int(2 ** (len(self.encoder_widths) - 1))

    def __post_init__(self) -> None:
        check_limits(self)
        factors = [level.downsampling for level in self.levels]
        require(
            len(factors) >= 2 and factors[0] == "global" and "global" not in factors[1:],
            "levels",
            factors,
            'a "global" level first and at least one more',
        )
        fine = [factor for factor in factors if factor != "global"]
        require(
            fine == sorted(set(fine), reverse=True),
            "levels",
            factors,
            "levels from coarse to fine (downsampling falling)",
        )
        coarsest = 2 ** (len(self.encoder_widths) - 1)
        require(
            fine[0] == coarsest,
            "encoder_widths",
            self.encoder_widths,
            f"one width for each downsampling from 1 to that of the coarsest level ({fine[0]})",
        )
        for name in ("decoder_widths", "encoder_dropout", "decoder_dropout"):
            require(
                len(getattr(self, name)) == len(self.encoder_widths),
                name,
                getattr(self, name),
                f"{counted(len(self.encoder_widths), 'value')}, as many as encoder_widths",
            )
