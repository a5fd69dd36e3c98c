"""Which EMA snapshots a run keeps, and which of them a model's folder gets.

A run keeps them at marks: the first checkpoint in each of 8 to 16 equal parts of what it has seen.
The parts grow with the run, twice as wide each time that there would be more than 16, and a mark of
wider parts is one of narrower parts. So the marks do not depend on how long the run is to be, and a
run that is extended has those of one that had its length from the start.

A model's folder is versioned and copied, so it gets fewer: at the end a handful of lengths, between
which any other is put together, and the lengths that were tracked at an eighth, a quarter and a
half of the training, for guidance by an earlier self. docs/decisions/ema.md has sizes and errors.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load_file

from pdm import ema
from pdm.ema import Snapshot

CHECKPOINTS = "checkpoints"  # of a run's folder
MOST_MARKS = 16
EARLIER_ENDS = (1 / 8, 1 / 4, 1 / 2)  # of a model's training
LENGTHS_AROUND = (0.6, 1.4, 2.0)  # of the shortest tracked length, and twice of the longest


@dataclass(frozen=True)
class Marks:
    """The marks of a run.

    Args:
        lengths: That are tracked.
        batch_size: Images of a step: parts are a power of two of them.
        save_every_images: Interval of checkpoints.
    """

    lengths: Sequence[float]
    batch_size: int
    save_every_images: int

    def include(self, images_seen: int) -> bool:
        """Whether the checkpoint there is a mark. One that a request to stop brought about is
        none, or a resumed run would differ from an unbroken one."""
        every, width = self.save_every_images, self._width(images_seen)
        part = images_seen // width
        return images_seen % every == 0 and part > 0 and part > (images_seen - every) // width

    def thin(self, folder: Path, images_seen: int) -> None:
        """Remove the snapshots that are no marks any more, now that the run has come so far."""
        width = self._width(images_seen)
        taken = set()
        for one in ema.snapshots_in(folder):
            part = one.images_seen // width
            if part == 0 or (part, one.length) in taken:
                one.path.unlink(missing_ok=True)
            taken.add((part, one.length))

    def _width(self, images_seen: int) -> int:
        """Images of a part."""
        width = self.batch_size
        while images_seen > MOST_MARKS * width:
            width *= 2
        return width


@contextmanager
def for_model(run: Path, lengths: Sequence[float], images_seen: int) -> Iterator[Path]:
    """The folder of snapshots that belongs into a model, while the block runs.

    Args:
        run: With its checkpoint there, of which the model is made.
        lengths: That were tracked; without any there is no folder.
        images_seen: By that checkpoint.
    """
    checkpoint = run / CHECKPOINTS / f"{images_seen:09}"
    with TemporaryDirectory(dir=run, prefix=".tmp-") as scratch:
        folder = Path(scratch) / ema.FOLDER
        if lengths:
            _export(run / CHECKPOINTS / ema.FOLDER, checkpoint, lengths, images_seen, folder)
        yield folder


def _export(
    kept: Path, checkpoint: Path, lengths: Sequence[float], images_seen: int, folder: Path
) -> None:
    found = [one for one in ema.snapshots_in(kept) if one.images_seen < images_seen]
    earlier = [one for one in found if one.length in lengths]
    last = [Snapshot(images_seen, one, checkpoint / f"ema-{one}.safetensors") for one in lengths]
    around = _lengths_around(lengths)
    chosen = _nearest(earlier, [share * images_seen for share in EARLIER_ENDS])
    if len(earlier) <= len(chosen) + len(around):
        chosen, around = earlier, []  # all that there is takes no more room
    for one in (*chosen, *last):
        name = ema.snapshot_name(one.images_seen, one.length)
        ema.write_snapshot(folder / name, load_file(one.path))
    for length in around:
        weights = ema.combine([*earlier, *last], images_seen=images_seen, length=length)
        ema.write_snapshot(folder / ema.snapshot_name(images_seen, length), weights)


def _lengths_around(lengths: Sequence[float]) -> list[float]:
    """Lengths that are put together at the end, beside those that were tracked."""
    shorter, longer, longest = LENGTHS_AROUND
    wanted = (shorter * min(lengths), longer * max(lengths), longest * max(lengths))
    return [float(f"{one:.3g}") for one in wanted if one <= ema.MAX_LENGTH]


def _nearest(snapshots: Sequence[Snapshot], ends: Iterable[float]) -> list[Snapshot]:
    """The snapshots that end nearest to each of these."""
    if not snapshots:
        return []
    seen = [one.images_seen for one in snapshots]
    nearest = {min((abs(one - end), one) for one in seen)[1] for end in ends}
    return [one for one in snapshots if one.images_seen in nearest]
