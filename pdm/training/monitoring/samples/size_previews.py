"""Previews of all sizes during the training of a model of many aspect ratios: some pictures of each
size in a row of their own, always of the same seeds."""

from pathlib import Path

from PIL import Image

from pdm.data.pixels import Pixels
from pdm.data.shards.latents import LatentShards
from pdm.data.sheets import contact_sheet, reduce_picture
from pdm.diffusion.flow import Velocity
from pdm.events import EventLog
from pdm.files import atomic_file
from pdm.tasks.task import Task
from pdm.training.distributed.workers import Workers
from pdm.training.monitoring.samples.grid import Draw, SampleGrid
from pdm.training.monitoring.samples.preview_batches import annotations_of_task, previews_of_task
from pdm.training.monitoring.samples.scores import SHEET_PX

SEEDS = range(4)  # at each size


class SizePreviews:
    """Draws a sheet of all sizes. The workers share the sizes, and all get the same result.

    Args:
        grid: Draws and decodes, at the main size.
        splits: Latents to train on, and held-out ones. A size without held-out pictures takes its
            conditions from those to train on.
        task: Of the training.
        workers: Every worker must make the same calls.
        guided: Whether prompts' guidance is followed; a network for few steps has none.
    """

    def __init__(
        self,
        grid: SampleGrid,
        splits: tuple[LatentShards, LatentShards],
        task: Task,
        workers: Workers,
        *,
        guided: bool,
    ) -> None:
        self.grid, self.task, self.workers, self.guided = grid, task, workers, guided
        train, held_out = splits
        places = {bucket.size: place for place, bucket in enumerate(held_out.buckets)}
        self.buckets = [
            held_out.only(places[bucket.size]) if bucket.size in places else train.only(place)
            for place, bucket in enumerate(train.buckets)
        ]

    def draw(self, network: Velocity, sampler: Draw) -> Image.Image | None:
        """Draw the sheet, with a row for each size; None if there is one size only."""
        if len(self.buckets) == 1:
            return None

        def draw_row(bucket: LatentShards) -> list[Pixels]:
            grid = self.grid.of_bucket(bucket)
            make_previews = previews_of_task(self.task, bucket, grid.encode, guided=self.guided)
            annotate = annotations_of_task(self.task, bucket)
            drawn = grid.draw(network, sampler, SEEDS, make_previews)
            small = (reduce_picture(picture, SHEET_PX) for picture in drawn)
            return [annotate(*pair) for pair in enumerate(small)]

        return contact_sheet(self.workers.map(draw_row, self.buckets))


def record_previews(
    sheet: Image.Image | None, images_seen: int, events: EventLog, run: Path
) -> None:
    """Write a checkpoint's sheet of all sizes, if there is one, to the run's folder."""
    if sheet is None:
        return
    path = run / "pictures" / f"sizes-{images_seen:09}.png"
    with atomic_file(path) as temporary:
        sheet.save(temporary, format="PNG")
    events.picture("sizes", path, images_seen)
