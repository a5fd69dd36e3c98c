"""Runs all stages of a rehearsal one after the other, and says what each of them took.

Everything happens in a folder of its own: no file, run or tracker of the user's project is touched.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdm import params
from pdm.config import Params
from pdm.errors import BadInput, Preempted, PyramidError
from pdm.files import write_text
from pdm.machine.limits import usable_memory
from pdm.rehearsal.processes import Measured, run
from pdm.rehearsal.results import Rehearsal, Row
from pdm.rehearsal.settings import real_text, rehearsal_text
from pdm.scratch_folders import scratch_folder

if TYPE_CHECKING:
    from pdm.training.monitoring.cost.footprint import Footprint

TRAININGS = ("autoencoder", "diffusion")
SHARE_OF_MEMORY = 0.9  # of what is available, for the largest micro-batch
MAX_BATCH_TRIED = 1024  # images of a micro-batch
PROCESS_BYTES = 7 * 2**26  # Python and torch, before the first step
PARAMS = "params.yaml"


@dataclass(frozen=True)
class Step:
    """One command of the rehearsal.

    Args:
        name: As in the table.
        words: Module and arguments of the command.
        stage: Of the pipeline.
        interrupt: Whether it is interrupted, and must end with a checkpoint.
    """

    name: str
    words: tuple[str, ...]
    stage: str
    interrupt: bool = False


def steps() -> list[Step]:
    """List the commands of a rehearsal, in order."""
    commands = [_stage(name) for name in ("scrape", "curate", "shard")]
    commands += [*_training("autoencoder"), _stage("latents"), *_training("diffusion")]
    return [*commands, _stage("sample"), _stage("evaluate")]


def _stage(name: str) -> Step:
    return Step(name, ("pdm", name), name)


def _training(stage: str) -> list[Step]:
    words = ("pdm", stage, "--launcher", "process")
    export = ("pdm", "export", stage, "--best", "--model", f"exported/{stage}")
    return [
        Step(f"{stage}, interrupted", words, stage, interrupt=True),
        Step(f"{stage}, resumed", words, stage),
        Step(f"export {stage}", export, stage),
    ]


def rehearse(
    preset: str | None,
    path: Path,
    *,
    pictures: Path | None = None,
    keep: Path | None = None,
    max_bytes: int | None = None,
) -> Iterator[Row | Rehearsal]:
    """Run every stage on a few pictures; yield a row for each, and all of them at the end.

    Params and pictures are looked at before the first stage is asked for.

    Args:
        preset: Name of a preset; None for the params file.
        path: The params file.
        pictures: Folder with a handful of pictures; None for built-in landscapes.
        keep: Folder to work in and to leave there; None for a temporary one.
        max_bytes: A stage that takes more memory is stopped; None for no limit.

    Raises:
        BadInput: The params or the pictures do not exist or do not fit, or `keep` is not empty.
    """
    if pictures is not None and not pictures.is_dir():
        raise BadInput(f"--pictures {pictures} is not a folder; name one with a dozen images")
    return _rehearse(real_text(preset, path), path, pictures, keep, max_bytes)


def _rehearse(
    real: str, path: Path, pictures: Path | None, keep: Path | None, max_bytes: int | None
) -> Iterator[Row | Rehearsal]:
    with _working_folder(keep) as folder:
        write_text(folder / PARAMS, rehearsal_text(real, pictures))
        rehearsal = Rehearsal()
        for step in steps():
            row, measured = _run_step(step, folder, params.parse(real, path), max_bytes)
            rehearsal.rows.append(row)
            yield row
            if measured.error:
                rehearsal.error = f"{step.name}: {measured.error}"
                rehearsal.exit_code = measured.exit_code if measured.exit_code > 0 else 1
                break
        else:
            _add_largest_batches(rehearsal, folder, max_bytes)
        yield rehearsal


@contextlib.contextmanager
def _working_folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with scratch_folder("rehearsal") as folder:
            yield folder
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise BadInput(f"--keep {keep} exists and is not an empty folder; name another")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.absolute()


def _run_step(
    step: Step, folder: Path, real: Params, max_bytes: int | None
) -> tuple[Row, Measured]:
    before = _size(folder)
    measured = run(step.words, folder, max_bytes=max_bytes, interrupt=step.interrupt)
    if step.interrupt and measured.exit_code == 0:
        measured = Measured(
            1,
            measured.seconds,
            measured.host_bytes,
            measured.device_bytes,
            f"it was asked to stop and did not; expected exit code {Preempted.exit_code}",
        )
    row = Row(
        step.name,
        measured.seconds,
        measured.host_bytes,
        measured.device_bytes,
        _size(folder) - before,
        measured.exit_code,
    )
    speed = _speed(folder, step.stage) if step.stage in TRAININGS else None
    if speed and step.name.endswith("resumed"):
        total = getattr(real, step.stage).training.total_images
        row.images_per_second, row.whole_seconds = speed, total / speed
    return row, measured


def _size(folder: Path) -> int:
    """Bytes of all files, those with several names once."""
    stats = [file.lstat() for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum({(stat.st_dev, stat.st_ino): stat.st_blocks * 512 for stat in stats}.values())


def _speed(folder: Path, stage: str) -> float | None:
    """Images per second in the last logged step of the stage."""
    from pdm import events

    for log in (folder / "runs" / stage).glob("*/events.jsonl"):
        for event in reversed(events.read(log)):
            if speed := event.get("values", {}).get("images_per_second"):
                return float(speed)
    return None


def _add_largest_batches(rehearsal: Rehearsal, folder: Path, max_bytes: int | None) -> None:
    for stage in TRAININGS:
        try:
            rehearsal.batches[stage] = _largest_batch(stage, folder, max_bytes)
        except PyramidError as error:
            rehearsal.error, rehearsal.exit_code = (
                f"largest micro-batch of {stage}: {error}",
                error.exit_code,
            )
            return


def _largest_batch(stage: str, folder: Path, max_bytes: int | None) -> dict[str, Any]:
    """Predict the largest power of two that fits, and take steps with it; with half as many as
    long as it does not fit."""
    from pdm.rehearsal.batch_trial import footprint

    config = params.load(folder / PARAMS)
    one, two = (_bytes_here(footprint(stage, config, count)) for count in (1, 2))
    available = _available_bytes() if max_bytes is None else max_bytes
    fitting = (
        2**power
        for power in reversed(range(MAX_BATCH_TRIED.bit_length()))
        if one + (2**power - 1) * (two - one) <= SHARE_OF_MEMORY * available
    )
    result: dict[str, Any] = {"available_bytes": available, "too_large": []}
    for count in fitting:
        words = ("pdm.rehearsal.batch_trial", stage, PARAMS, str(count))
        measured = run(words, folder, max_bytes=max_bytes)
        if measured.exit_code == 0:
            used = measured.host_bytes if measured.device_bytes is None else measured.device_bytes
            predicted = one + (count - 1) * (two - one)
            tried = {"predicted_bytes": predicted, "measured_bytes": used}
            return result | tried | {"micro_batch_size": count, "seconds": measured.seconds}
        result["too_large"].append(count)
    return result | {"micro_batch_size": 0, "predicted_bytes": one}


def _bytes_here(footprint: "Footprint") -> int:
    """What a process on this machine takes at its peak, where the host may be the device."""
    import torch

    on_gpu = torch.cuda.is_available()
    return footprint.device_bytes if on_gpu else footprint.host_bytes + PROCESS_BYTES


def _available_bytes() -> int:
    """Memory for a training: of the GPU, or what is free on the host."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[1])
    return usable_memory()
