"""`memorisation.html`: the samples that lie nearest to training pictures, side by side with them.

One file that needs nothing beside it. Pictures are shown pixel for pixel up to `MAX_WIDTH_PX`.
"""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pdm.data.pixels import Pixels
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.memorisation import Memorisation, memorised_by
from pdm.evaluation.neighbours import Neighbours
from pdm.files import write_text

MAX_WIDTH_PX = 512  # of a picture on the page; three fit beside each other

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1700px; padding: 0 1rem;
  color: #1c1c1c; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; }
figure { margin: 0; } img { width: 100%; min-width: 256px; image-rendering: auto; display: block; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .8rem;
  margin: 1.4rem 0; padding-left: .8rem; border-left: 5px solid transparent; }
.bad { border-color: #c62828; } .bad b, p.bad { color: #c62828; }
@media (prefers-color-scheme: dark) { body { color: #e8e8e8; background: #161616; }
  .bad b, p.bad { color: #ff8a80; } }
"""


def write_pairs(
    path: Path,
    samples: PictureSet,
    train: PictureSet,
    copies: Memorisation,
    scores: Mapping[str, float],
    count: int,
) -> None:
    """Write the page.

    Args:
        path: Of the HTML file.
        samples, train: What `copies` is about.
        copies: Nearest training picture of every sample and of every held-out picture.
        scores: With the intervals of the shares.
        count: Samples to show, those nearest to training pictures first.
    """
    shown = [_pair(int(index), samples, train, copies) for index in copies.closest(count)]
    guilty = memorised_by(scores)
    verdict = (
        f"<p class='bad'><b>These samples look memorised</b> ({' and '.join(guilty)}): "
        "some are copies, or more of them than chance allows lie closer to a training picture than "
        "held-out pictures do.</p>"
        if guilty
        else "<p>The samples lie no closer to the training pictures than held-out pictures do, as "
        "far as so many pictures can tell.</p>"
    )
    write_text(
        path,
        "<!doctype html>\n<html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'><title>Closest pairs</title>"
        f"<style>{STYLE}</style><h1>Samples and their nearest training pictures</h1>"
        f"{verdict}{_table(copies, scores)}"
        "<p>Nearest pairs first. A red bar: closer than every held-out picture is to its nearest "
        "training picture. Mirrored training pictures count, and are shown as they are.</p>"
        f"{''.join(shown)}</html>\n",
    )


def _table(copies: Memorisation, scores: Mapping[str, float]) -> str:
    rows = []
    for measure in copies.pairs():
        for share, words in (
            ("share_of_copies", "a third as far as any held-out picture, or nearer: copies"),
            ("share_closer_than_all_val", "closer than every held-out picture"),
            ("share_closer_than_median_val", "closer than the median held-out picture"),
        ):
            name = f"memorisation/{measure}/{share}"
            by_chance = scores[f"memorisation/{measure}/expected_{share}"]
            low, high = (scores[f"intervals/{name}/{end}"] for end in ("low", "high"))
            rows.append(
                f"<tr><td>{words}, {measure.replace('_', ' ')}<td>{scores[name]:.1%}"
                f"<td>{low:.1%} to {high:.1%}<td>{by_chance:.1%}</tr>"
            )
    sets = ("samples", "val", "train")
    counts = ", ".join(f"{scores[f'counts/num_{each}']:,.0f} {each}" for each in sets)
    return (
        "<table><tr><th>share of samples<th>found<th>95 % interval<th>new pictures would have</tr>"
        f"{''.join(rows)}</table><p>{counts}</p>"
    )


def _pair(index: int, samples: PictureSet, train: PictureSet, copies: Memorisation) -> str:
    figures = [_figure(samples.load(index), f"sample {html.escape(samples.keys[index])}")]
    is_copy = False
    for measure, (found, val) in copies.pairs().items():
        place, distance = int(found.indices[index]), float(found.distances[index])
        closest = float(val.distances.min())
        is_copy |= distance < closest
        title = (
            f"nearest {measure.replace('_', ' ')}: <b>{distance:.4f}</b> "
            f"(held out: {closest:.4f} at least, {_median(val):.4f} in the middle)<br>"
            f"{html.escape(train.keys[place])}"
        )
        figures.append(_figure(train.load(place), title))
    return f"<div class='pair{' bad' if is_copy else ''}'>{''.join(figures)}</div>"


def _median(neighbours: Neighbours) -> float:
    return float(np.median(neighbours.distances))


def _figure(picture: Pixels, title: str) -> str:
    """`title` is HTML."""
    image = Image.fromarray(picture)
    if image.width > MAX_WIDTH_PX:
        height = round(image.height * MAX_WIDTH_PX / image.width)
        image = image.resize((MAX_WIDTH_PX, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()
    return (
        f"<figure><img alt='' src='data:image/png;base64,{data}'>"
        f"<figcaption>{title}</figcaption></figure>"
    )
