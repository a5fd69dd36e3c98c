"""The pyramid UNet: its widths and layers, and how its levels share or divide time."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pdm.config.fields import STRICT, Neutral
from pdm.config.limits import (
    Depth,
    Downsampling,
    DropoutRate,
    Fraction,
    Width,
    check_limits,
    require,
)
from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.level_times import LevelTimesConfig
from pdm.counts import counted

Resampling = Literal["box", "fir"]
Windows = tuple[tuple[Fraction, Fraction], ...]  # start and end of each level, coarse to fine


@dataclass(frozen=True, kw_only=True, slots=True)
class UNetConfig:
    """The network. Lists run over the resolutions of the latents, finest first."""

    __pydantic_config__: ClassVar = STRICT

    widths: Annotated[tuple[Width, ...], "channels at each resolution, finest first"]
    blocks: Annotated[tuple[Depth, ...], "residual blocks at each, down, and as many up"]
    embedding_width: Annotated[Width, "length of the embedding of time and global latent"]
    branches: Annotated[bool, "each level enters and leaves at its own resolution"]
    windows: Annotated[
        Windows | None,
        "start and end of each level's own time, coarse to fine; null: one for all",
    ]
    level_times: Annotated[
        LevelTimesConfig | None,
        "per-level times by another rule; null: none",
        Neutral(None),
    ]
    time_embedding: Annotated[
        Literal["joint", "summed"],
        "of per-level times: joint, or summed over the levels and their stage",
        Neutral("joint"),
    ]
    predicts: Annotated[
        tuple[Literal["velocity", "data"], ...] | None,
        "velocity or data, of each level, coarse to fine; null: all velocities",
        Neutral(None),
    ]
    input_stream: Annotated[bool, "each resolution also sees the means of all finer levels"]
    output_stream: Annotated[bool, "each level's velocity is passed to the next finer one"]
    resampling: Annotated[Resampling, "box: means of 2x2; fir: NCSN++'s filter of 4x4"]
    attention_from: Annotated[Downsampling, "attention where the downsampling is at least this"]
    cross_attention_from: Annotated[
        Downsampling | None,
        "text and boxes are read where the downsampling is at least this; null: attention_from",
        Neutral(None),
    ]
    attention_ratio: Annotated[
        Literal["shape", "equal", "spatial"],
        "spatial to channel attention, by their sizes (shape), 1 : 1 (equal), or spatial",
    ]
    dropout: Annotated[
        tuple[DropoutRate, ...], "at each resolution, finest first; falls towards fine detail"
    ]
    dropout_falls: Annotated[bool, "dropout also falls to 0 over the training"]
    spectral_norm: Annotated[bool, "divide weights by their largest singular value"]
    condition: Annotated[ConditionConfig | None, "null: what diffusion.task needs"]

    def __post_init__(self) -> None:
        check_limits(self)
        require(self.embedding_width % 4 == 0, "embedding_width", self.embedding_width, "4, 8, ...")
        require(len(self.widths) >= 1, "widths", self.widths, "at least one width")
        for name in ("blocks", "dropout"):
            values = getattr(self, name)
            expected = f"{counted(len(self.widths), 'number')}, as many as widths"
            require(len(values) == len(self.widths), name, values, expected)
        if not self.branches:
            alone = not (self.schedule or self.input_stream or self.output_stream)
            require(alone, "branches", False, "true with windows, level_times or a stream")
        self._check_windows()
        one = self.windows is None or self.level_times is None
        require(one, "level_times", self.level_times, "null with windows")
        fits = self.time_embedding == "joint" or self.has_level_times
        expected = "joint, unless there are windows or level_times"
        require(fits, "time_embedding", self.time_embedding, expected)

    @property
    def schedule(self) -> Windows | LevelTimesConfig | None:
        """How the per-level times are related; None where all levels share one time."""
        return self.windows if self.level_times is None else self.level_times

    @property
    def tokens_from(self) -> int:
        """The least downsampling at which the network reads tokens."""
        own = self.cross_attention_from
        return self.attention_from if own is None else own

    @property
    def has_level_times(self) -> bool:
        """Whether each level has its own time."""
        return self.schedule is not None

    def _check_windows(self) -> None:
        windows = self.windows
        if windows is not None:
            good = len(windows) > 0 and all(0 <= start < end <= 1 for start, end in windows)
            require(good, "windows", windows, "a start below an end, both from 0 to 1")
            starts, ends = zip(*windows, strict=True)
            risen = list(starts) == sorted(starts) and list(ends) == sorted(ends)
            require(risen, "windows", windows, "starts and ends that do not fall, coarse to fine")
            whole = starts[0] == 0 and ends[-1] == 1
            require(whole, "windows", windows, "a first window from 0 and a last window to 1")
