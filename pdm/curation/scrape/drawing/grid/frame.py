"""The camera's picture and its coarse grid, whose cell (row, column) lies on the picture's pixel
(2 row, 2 column)."""

from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.grid.fields import Field
from pdm.curation.scrape.drawing.scene import Scene


@dataclass(frozen=True, slots=True)
class Frame:
    """Size of a picture and the rays through it. Rays are tangents right and up from ahead."""

    width_px: int
    height_px: int
    focal_px: float
    horizon_px: float

    @property
    def num_columns(self) -> int:
        """Columns of the coarse grid."""
        return self.width_px // 2 + 1

    @property
    def num_rows(self) -> int:
        """Rows of the coarse grid."""
        return self.height_px // 2 + 1

    @property
    def below_horizon(self) -> int:
        """The first coarse row below the horizon."""
        return min(int(self.horizon_px / 2) + 1, self.num_rows)

    def right(self) -> Field:
        """Rays of the coarse columns, (1, columns)."""
        columns = np.arange(self.num_columns, dtype=np.float32)
        return ((2.0 * columns + np.float32(0.5 - self.width_px / 2)) / self.focal_px)[None, :]

    def right_of_pixels(self) -> Field:
        """Rays of the picture's columns, (1, columns)."""
        columns = np.arange(self.width_px, dtype=np.float32)
        return ((columns + np.float32(0.5 - self.width_px / 2)) / self.focal_px)[None, :]

    def up(self, first: int, last: int) -> Field:
        """Rays of the coarse rows from `first` up to but without `last`, (rows, 1)."""
        rows = np.arange(first, last, dtype=np.float32)
        return ((np.float32(self.horizon_px - 0.5) - 2.0 * rows) / self.focal_px)[:, None]


def frame_of(scene: Scene, width_px: int, height_px: int) -> Frame:
    """The frame of a scene at a picture's size."""
    return Frame(width_px, height_px, scene.focal * width_px, scene.horizon * height_px)
