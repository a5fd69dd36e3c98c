"""What a rehearsal measured, as a table, as JSON, and as the error of the step that failed."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from pdm import errors
from pdm.errors import PyramidError
from pdm.progress import as_clock
from pdm.rehearsal.processes import GIB, MIB
from pdm.rehearsal.settings import STEPS


@dataclass
class Row:
    """What one step took.

    Args:
        name: Of the step.
        seconds: Wall-clock time.
        host_bytes: Peak resident memory.
        device_bytes: Peak memory on GPUs; None where there is none.
        disk_bytes: By which the rehearsal's folder grew.
        exit_code: Of the command.
        images_per_second: In the last step of a training; None for other stages.
        whole_seconds: What the real training would take at that speed; None for other stages.
    """

    name: str
    seconds: float
    host_bytes: int
    device_bytes: int | None
    disk_bytes: int
    exit_code: int
    images_per_second: float | None = None
    whole_seconds: float | None = None


@dataclass
class Rehearsal:
    """All that was measured.

    Args:
        rows: Of the steps that ran.
        batches: By training: the largest micro-batch that fits.
        error: What went wrong, in a line; empty if nothing did.
        exit_code: Of the step that failed, or 0.
    """

    rows: list[Row] = field(default_factory=list)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    error: str = ""
    exit_code: int = 0

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def heading() -> str:
    """The first line of the table."""
    return (
        f"{'stage':<26} {'seconds':>8} {'host GiB':>9} {'GPU GiB':>8} {'disk MiB':>9}  "
        "whole training here"
    )


def line_of(row: Row) -> str:
    """A row of the table."""
    device = "-" if row.device_bytes is None else f"{row.device_bytes / GIB:.2f}"
    whole = ""
    if row.whole_seconds is not None:
        whole = f"{as_clock(row.whole_seconds)} ({row.images_per_second:.3g} images/s)"
    return (
        f"{row.name:<26} {row.seconds:8.1f} {row.host_bytes / GIB:9.2f} {device:>8} "
        f"{row.disk_bytes / MIB:9.1f}  {whole}"
    ).rstrip()


def conclusion(rehearsal: Rehearsal) -> str:
    """The lines below the table."""
    lines = []
    for stage, batch in rehearsal.batches.items():
        size = batch["micro_batch_size"]
        text = f"{stage}: a micro-batch of {size} fits" if size else f"{stage}: no micro-batch fits"
        text += f" in {batch['available_bytes'] / GIB:.2f} GiB; predicted "
        text += f"{batch['predicted_bytes'] / GIB:.2f} GiB"
        if size:
            text += f", tried: {batch['measured_bytes'] / GIB:.2f} GiB, {batch['seconds']:.0f} s"
        if batch["too_large"]:
            text += f"; too many when tried: {', '.join(map(str, batch['too_large']))}"
        lines.append(text)
    if rehearsal.error:
        lines.append(f"failed: {rehearsal.error}")
    return "\n".join(lines)


def raise_failure(rehearsal: Rehearsal) -> None:
    """Raise the error of the step that failed, with its exit code."""
    if not rehearsal.exit_code:
        return
    for kind in PyramidError.__subclasses__():
        if kind.exit_code == rehearsal.exit_code:
            raise kind(rehearsal.error)
    raise errors.PyramidError(rehearsal.error)


def as_json(rehearsal: Rehearsal) -> str:
    """All that was measured, in one line."""
    return json.dumps(rehearsal.as_json() | {"steps": STEPS})
