"""How a picture larger than the trained size is sampled tile by tile."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, get_args

from pdm.config.fields import STRICT
from pdm.config.limits import Count, Limits, Seed, check_limits

Mode = Literal["fstd", "none", "multidiffusion", "mixture", "spot"]
MODES: tuple[Mode, ...] = get_args(Mode)


@dataclass(frozen=True, kw_only=True, slots=True)
class TilingConfig:
    """Where tiles lie in each step, and with which weights their predictions are averaged.

    - `fstd`: a grid without overlap, moved by one random offset a step (Any-Size-Diffusion,
      arXiv:2308.16582); Gaussian weights.
    - `none`: the same grid in every step, the baseline with seams.
    - `multidiffusion`: tiles that overlap, equal weights (arXiv:2302.08113).
    - `mixture`: tiles that overlap, Gaussian weights (Mixture of Diffusers, arXiv:2302.02412).
    - `spot`: a grid without overlap, moved by up to a whole tile in every step, equal weights
      (SpotDiffusion, arXiv:2407.15507).
    """

    __pydantic_config__: ClassVar = STRICT

    mode: Annotated[Mode, "fstd, none, multidiffusion, mixture or spot"] = "fstd"
    overlap: Annotated[
        Annotated[float, Limits(above=0, below=1)],
        "share of a tile's side: the range of fstd's offsets, or the overlap of neighbours",
    ] = 0.5
    reset_every: Annotated[Count, "fstd: steps between two without an offset"] = 4
    symmetric: Annotated[
        bool, "Gaussian weights with their middle exactly in the tile's, not half a row below"
    ] = False
    tiles_at_once: Annotated[Count, "most tiles in one batch of the network"] = 16
    seed: Annotated[Seed, "of the offsets"] = 0

    def __post_init__(self) -> None:
        check_limits(self)
