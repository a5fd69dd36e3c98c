"""Which EMA snapshots a run keeps, and which of them its model gets.

A run keeps snapshots at marks: the first checkpoint in each of 8 to 16 equal parts of its progress.
Whenever there would be more than 16 parts, their width doubles; every mark of the wider parts is
also a mark of the narrower ones. So marks do not depend on the planned length, and an extended run
has the marks of a run that had its length from the start.

A model's folder is versioned and copied, so it gets fewer snapshots: some lengths at the end of the
training, from which any length between them is combined; and the tracked lengths at an eighth, a
quarter and half of the training, for autoguidance. docs/decisions/ema.md has sizes and errors.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file

from pdm import ema
from pdm.ema import Snapshot
from pdm.scratch_folders import scratch_folder
from pdm.training.checkpoints.sharded_files import whole_file

CHECKPOINTS = "checkpoints"  # inside a run's folder
MAX_MARKS = 16
EARLIER_ENDS = (1 / 8, 1 / 4, 1 / 2)  # fractions of a model's training
LENGTHS_AROUND = (0.6, 1.4, 2.0)  # times the shortest tracked length, and twice times the longest


@dataclass(frozen=True)
class Marks:
    """The marks of a run.

    Args:
        lengths: Tracked EMA lengths.
        batch_size: Images per step; the width of a part is this times a power of two.
        save_every_images: Interval between checkpoints.
    """

    lengths: Sequence[float]
    batch_size: int
    save_every_images: int

    def include(self, images_seen: int) -> bool:
        """Whether the checkpoint at `images_seen` is a mark. A checkpoint written on a request to
        stop is not, or a resumed run would differ from an uninterrupted one."""
        every, width = self.save_every_images, self._width(images_seen)
        part = images_seen // width
        return images_seen % every == 0 and part > 0 and part > (images_seen - every) // width

    def thin(self, folder: Path, images_seen: int) -> None:
        """Remove the snapshots that are no longer at marks."""
        width = self._width(images_seen)
        taken = set()
        for one in ema.snapshots_in(folder):
            part = one.images_seen // width
            if part == 0 or (part, one.length) in taken:
                one.path.unlink(missing_ok=True)
            taken.add((part, one.length))

    def _width(self, images_seen: int) -> int:
        """Width of a part in images."""
        width = self.batch_size
        while images_seen > MAX_MARKS * width:
            width *= 2
        return width


@contextmanager
def for_model(run: Path, lengths: Sequence[float], images_seen: int) -> Iterator[Path]:
    """Yield a temporary folder with the snapshots for a model.

    Args:
        run: Folder of the run, which has the model's checkpoint.
        lengths: Tracked EMA lengths; if there are none, the folder does not exist.
        images_seen: Images seen by that checkpoint.
    """
    checkpoint = run / CHECKPOINTS / f"{images_seen:09}"
    with scratch_folder("ema", run) as scratch:
        folder = scratch / ema.FOLDER
        if lengths:
            whole = scratch / "whole"
            ends = {one: whole_file(checkpoint, f"ema-{one}", whole) for one in lengths}
            _export(run / CHECKPOINTS / ema.FOLDER, ends, images_seen, folder)
        yield folder


def _export(kept: Path, ends: Mapping[float, Path], images_seen: int, folder: Path) -> None:
    """Write the chosen snapshots; `ends` are the files of the checkpoint, by their length."""
    lengths = list(ends)
    found = [one for one in ema.snapshots_in(kept) if one.images_seen < images_seen]
    earlier = [one for one in found if one.length in lengths]
    last = [Snapshot(images_seen, length, path) for length, path in ends.items()]
    around = _lengths_around(lengths)
    chosen = _nearest(earlier, [share * images_seen for share in EARLIER_ENDS])
    if len(earlier) <= len(chosen) + len(around):
        chosen, around = earlier, []  # keeping all of them takes no more space
    for one in (*chosen, *last):
        name = ema.snapshot_name(one.images_seen, one.length)
        ema.write_snapshot(folder / name, load_file(one.path))
    for length in around:
        weights = ema.combine([*earlier, *last], images_seen=images_seen, length=length)
        ema.write_snapshot(folder / ema.snapshot_name(images_seen, length), weights)


def _lengths_around(lengths: Sequence[float]) -> list[float]:
    """EMA lengths to combine at the end of the training, besides the tracked ones."""
    shorter, longer, longest = LENGTHS_AROUND
    wanted = (shorter * min(lengths), longer * max(lengths), longest * max(lengths))
    return [float(f"{one:.3g}") for one in wanted if one <= ema.MAX_LENGTH]


def _nearest(snapshots: Sequence[Snapshot], ends: Iterable[float]) -> list[Snapshot]:
    """Choose the snapshots that are nearest to each of these."""
    if not snapshots:
        return []
    seen = [one.images_seen for one in snapshots]
    nearest = {min((abs(one - end), one) for one in seen)[1] for end in ends}
    return [one for one in snapshots if one.images_seen in nearest]
