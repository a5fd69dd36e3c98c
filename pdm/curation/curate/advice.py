"""Proposes a smaller crop if the images of the sources are too small for the one in the params.

The default crop is 2048x1024. Whoever has smaller pictures would otherwise learn only that they
were dropped, and not what would keep them.
"""

from collections.abc import Sequence

from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate.rules import content_size
from pdm.data.decisions import Row

MIN_SHARE = 0.25  # of the readable images that are too small; fewer are no reason to change a size
MIN_SIDE_PX = 64


def advise_on_size(decided: Sequence[Row], config: CurateConfig) -> str | None:
    """Propose the largest size, half or a quarter and so on of the present one, for which at least
    half of the images that are too small would be large enough.

    Args:
        decided: Rows of the table of decisions.
        config: Its size is the one that they are too small for.

    Returns:
        One sentence; None if few images are too small, or with buckets, whose sizes the data report
        compares.
    """
    small = [row for row in decided if row.get("reason") == "too_small"]
    readable = [row for row in decided if row.get("width_px")]
    if config.buckets is not None or not small or len(small) < MIN_SHARE * len(readable):
        return None
    width_px, height_px = config.width_px, config.height_px
    while True:
        if width_px % 2 or height_px % 2 or min(width_px, height_px) < 2 * MIN_SIDE_PX:
            return None
        width_px, height_px = width_px // 2, height_px // 2
        num_enough = sum(_is_enough(row, width_px, height_px) for row in small)
        if num_enough >= len(small) / 2:
            return (
                f"{len(small):,} of {len(readable):,} images are too small for crops of "
                f"{config.width_px}x{config.height_px}; {num_enough:,} of them are large enough "
                f"for {width_px}x{height_px}: set curate.width_px to {width_px} and "
                f"curate.height_px to {height_px}"
            )


def _is_enough(row: Row, width_px: int, height_px: int) -> bool:
    width, height = content_size(row)
    return width >= width_px and height >= height_px
