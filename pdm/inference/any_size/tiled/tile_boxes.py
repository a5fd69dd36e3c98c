"""The boxes of an image that is drawn in tiles: each tile gets its part of them.

A network sees a tile as a whole image, so what it reads must say what stands where in the tile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pdm.data.annotations.boxes import Layout, crop_boxes
from pdm.inference.any_size.rectangles import Rectangle
from pdm.inference.conditioning import GuidedCondition
from pdm.tasks.layout import BoxLayout, without_boxes


@dataclass(frozen=True, slots=True)
class TileBoxes:
    """What stands where in an image.

    Args:
        layout: Of the image that is asked for, as shares of it.
        task: Makes tokens of boxes.
        shown: Where this image is in what is drawn, in pixels; what is around it is cut off.
    """

    layout: Layout
    task: BoxLayout
    shown: Rectangle

    def layout_of(self, part: Rectangle) -> Layout:
        """Return what stands where in a part of what is drawn, which is in pixels.

        A box is in it if the part has a quarter of the box, or the box fills a quarter of the part.
        The crop is that of the whole, since that of a part is none that the network has learned.
        """
        left = (part.left - self.shown.left) / self.shown.width
        top = (part.top - self.shown.top) / self.shown.height
        right, bottom = left + part.width / self.shown.width, top + part.height / self.shown.height
        boxes, _ = crop_boxes(self.layout.boxes, (left, top, right, bottom), or_of_crop=True)
        return Layout(boxes, self.layout.crop)

    def condition(self, parts: Sequence[Rectangle]) -> GuidedCondition:
        """Return the condition of some parts; guidance steers away from the same without boxes."""
        shown = self.task.condition_of_layouts([self.layout_of(part) for part in parts])
        return GuidedCondition(shown, without_boxes(shown))
