"""Previews of sampling: the predicted image step by step, and the result level by level.

previews/000000/steps-00.png ...    the predicted data at evenly spaced times; if levels have
                                    windows, of the levels that have started
previews/000000/levels-01.png ...   the finished image, decoded from one level, two, ..., all
previews/000000/steps.gif, levels.gif
previews/sheet.png                  thumbnails of all
"""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from torch import Tensor

from pdm.config.stages.sample import PreviewsConfig, SampleConfig
from pdm.data.pixels import Pixels
from pdm.data.sheets import contact_sheet, reduce_picture
from pdm.inference.decoding import decode_to_pixels
from pdm.inference.image_sizes import SizesInTurn
from pdm.inference.latent_sampling import draw_numbers
from pdm.inference.sampling_networks import Networks
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.levels.pyramid import Pyramid

SMALL_PX = 256  # longer side of an image on the sheet
LAST_FRAME = 4  # duration relative to other frames


class Frames:
    """Collects the data that a sampler predicts for one image, at evenly spaced times.

    Args:
        count: Number of equal intervals of time; the first call in each is recorded.
    """

    def __init__(self, count: int) -> None:
        self.count, self.next_part = count, 0
        self.kept: list[Pyramid] = []

    def record(self, data: Pyramid, t: Tensor) -> None:
        """Take the predicted data and the time (1,) or (1, levels) of one evaluation."""
        part = int(self.count * t.clamp(0, 1).mean())
        if part < self.next_part or part >= self.count:
            return
        self.next_part = part + 1
        begun = len(data) if t.ndim == 1 else int((t >= 0).sum())
        self.kept.append(data[:begun])


def write_previews(
    folder: Path,
    config: SampleConfig,
    autoencoder: Autoencoder,
    networks: Networks,
    sizes: SizesInTurn,
) -> None:
    """Draw the first images again, one at a time, and write their previews."""
    previews = config.previews
    assert previews is not None
    rows: list[list[Pixels]] = []
    for number in range(min(previews.num_images, config.num_images)):
        frames = Frames(previews.frames)
        size = sizes.size_of(number)
        [(_, latents)] = draw_numbers(networks, config, [number], size.shapes, frames.record)
        by_levels = [latents[:count] for count in range(1, len(latents) + 1)]
        for name, pyramids in (("steps", [*frames.kept, latents]), ("levels", by_levels)):
            pictures = [
                decode_to_pixels(autoencoder, one, size.size, config)[0] for one in pyramids
            ]
            _write(folder / f"{number:06}", name, pictures, previews)
            rows.append([reduce_picture(picture, SMALL_PX) for picture in pictures])
    contact_sheet(rows).save(folder / "sheet.png")


def _write(folder: Path, name: str, pictures: Sequence[Pixels], config: PreviewsConfig) -> None:
    """Write each image as a PNG, and all as a GIF that loops."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = [Image.fromarray(picture) for picture in pictures]
    for number, frame in enumerate(frames, start=int(name == "levels")):
        frame.save(folder / f"{name}-{number:02}.png")
    times = [config.milliseconds] * (len(frames) - 1) + [LAST_FRAME * config.milliseconds]
    frames[0].save(
        folder / f"{name}.gif", save_all=True, append_images=frames[1:], duration=times, loop=0
    )
