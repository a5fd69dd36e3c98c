"""The comparison as one self-contained HTML file, for light and dark mode, wide and narrow screens.

Names and values come from outside, so the template escapes all of them. The only script zooms
pictures; everything else works without it.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Template

from pdm.comparison.chart import HEIGHT, MAIN_CURVES, WIDTH, charts
from pdm.comparison.numbers import cost_rows, interval, number, short
from pdm.comparison.run import Run
from pdm.comparison.verdicts import (
    data_version,
    differing,
    headline_rows,
    main_score_of,
    ranked_pairs,
    reasons_not_to_compare,
    score_rows,
)
from pdm.data.pillow import Image
from pdm.errors import BadInput, why
from pdm.files import write_text
from pdm.pages.template import page_template
from pdm.scores.names import BY_SIZE

MAX_PNG_BYTES = 2**20  # larger ones go onto the page as WebP, quality 92
MAX_SIDE_PX = 4096  # larger ones are reduced; WebP has 16,383 pixels at most
LEVEL_SHAPES = "autoencoder.model.levels"


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """One picture on the page."""

    url: str
    width: int
    height: int


def write_page(runs: Sequence[Run], output: Path) -> None:
    """Write the page.

    Args:
        runs: One run or more.
        output: File to write; replaced if it exists.

    Raises:
        BadInput: An image cannot be read.
    """
    seeds = sorted({seed for run in runs for seed in run.pictures})
    pictures = {
        (place, seed): _embed(path)
        for place, run in enumerate(runs)
        for seed, path in run.pictures.items()
    }
    all_charts, rows = charts(runs), score_rows(runs)
    first_pairs, other_pairs = ranked_pairs(runs)
    text = _template().render(
        title=runs[0].name if len(runs) == 1 else f"{len(runs)} runs side by side",
        runs=runs,
        notes=reasons_not_to_compare(runs),
        versions=sorted({data_version(run) for run in runs if run.scores} - {""}),
        headline=headline_rows(runs),
        judged=[row for row in rows if row.direction],
        other_numbers=[row for row in rows if not row.direction],
        by_size=[
            row
            for row in rows
            if row.name.startswith(f"{BY_SIZE}/") and row.name.endswith(f"/{main_score_of(runs)}")
        ],
        main_score=main_score_of(runs),
        pairs=first_pairs,
        other_pairs=other_pairs,
        params=differing([run.params for run in runs]),
        facts=differing([run.facts for run in runs]),
        main_charts=[chart for chart in all_charts if chart.metric in MAIN_CURVES],
        other_charts=[chart for chart in all_charts if chart.metric not in MAIN_CURVES],
        chart_width=WIDTH,
        chart_height=HEIGHT,
        seeds=seeds,
        pictures=pictures,
        same_latents=len({_levels(run) for run in runs}) == 1,
        costs=cost_rows(runs),
    )
    write_text(output, text)


def _levels(run: Run) -> str:
    """Return the shapes of the latents, which are those of the seeds' noise."""
    shapes = {
        name: value
        for name, value in run.params.items()
        if (name.startswith(LEVEL_SHAPES) and not name.endswith("kl_weight"))
        or name.startswith(("autoencoder.baseline", "autoencoder.image_"))
    }
    return repr(sorted(shapes.items()))


def _embed(path: Path) -> EmbeddedPicture:
    try:
        content, kind = path.read_bytes(), "png"
        with Image.open(path) as picture:
            width, height = picture.size
            if len(content) > MAX_PNG_BYTES:
                buffer = io.BytesIO()
                shown = picture.convert("RGB")
                shown.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
                shown.save(buffer, "WEBP", quality=92)
                content, kind = buffer.getvalue(), "webp"
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path} cannot be read ({why(error)}); run the stage 'sample' again"
        ) from error
    url = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return EmbeddedPicture(url, width, height)


def _template() -> Template:
    return page_template(
        Path(__file__).with_name("comparison.html"),
        number=number,
        interval=interval,
        short=short,
        row_pair=lambda row: (row.name, row.values),
    )
