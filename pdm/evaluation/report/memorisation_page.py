"""Writes `memorisation.html`: the samples nearest to training pictures, side by side with them.

The page is one file with embedded pictures, reduced to at most `MAX_WIDTH_PX`.
"""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pdm.data.pixels import Pixels
from pdm.evaluation.inputs.pictures import PictureSets
from pdm.evaluation.memorisation.measure import Memorisation, has_copies, memorisation_evidence
from pdm.evaluation.memorisation.neighbours import Neighbours
from pdm.files import write_text

MAX_WIDTH_PX = 512  # width of a picture on the page; three fit side by side

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1700px; padding: 0 1rem;
  color: #1c1c1c; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; }
th + th, td + td { text-align: right; } td + td { white-space: nowrap; }
figure { margin: 0; } img { width: 100%; display: block; }
figcaption { font-size: 13px; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .8rem;
  margin: 1.4rem 0; padding-left: .8rem; border-left: 5px solid transparent; }
@media (max-width: 700px) { .pair { grid-template-columns: 1fr; } }
.bad { border-color: #c62828; } b.bad, p.bad { color: #c62828; }
@media (prefers-color-scheme: dark) { body { color: #e8e8e8; background: #161616; }
  b.bad, p.bad { color: #ff8a80; } }
"""


def write_memorisation_page(
    path: Path,
    sets: PictureSets,
    copies: Memorisation,
    scores: Mapping[str, float],
    count: int,
) -> None:
    """Write the page.

    Args:
        path: HTML file to write.
        sets: The picture sets of `copies`.
        copies: Nearest training picture of each sample and of each held-out picture.
        scores: Shares of memorisation, with their intervals.
        count: Samples to show, those nearest to training pictures first.
    """
    rows = [_row(int(index), sets, copies) for index in copies.closest(count)]
    write_text(
        path,
        "<!doctype html>\n<html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        "<title>Nearest training images</title>"
        f"<style>{STYLE}</style><h1>Samples and their nearest training images</h1>"
        f"{_verdict(scores)}{_table(copies, scores)}"
        "<p>The nearest pairs come first. A red bar marks samples that are closer to a training "
        "image than any held-out image is, and their distance is red. Mirrored training "
        "images count; they are shown unmirrored.</p>"
        f"{''.join(rows)}</html>\n",
    )


def _verdict(scores: Mapping[str, float]) -> str:
    evidence = memorisation_evidence(scores)
    if not evidence:
        return (
            "<p>The samples are no closer to training images than held-out images are, as far "
            "as this number of images can show.</p>"
        )
    measures = " and ".join(evidence)
    if has_copies(scores):
        return (
            f"<p class='bad'><b>These samples look memorised</b> ({measures}): some are copies of "
            "training images.</p>"
        )
    return (
        f"<p><b>The samples are closer to training images than held-out images are</b> "
        f"({measures}), by more than chance explains. None is a copy. Blurred images are close "
        "to many others, too: the pairs below show which it is.</p>"
    )


def _table(copies: Memorisation, scores: Mapping[str, float]) -> str:
    rows = []
    for measure in copies.pairs():
        for share, words in (
            ("share_of_copies", "copies: less than a third as far as any held-out image"),
            ("share_closer_than_all_val", "closer than every held-out image"),
            ("share_closer_than_median_val", "closer than the median held-out image"),
        ):
            name = f"memorisation/{measure}/{share}"
            expected = scores[f"memorisation/{measure}/expected_{share}"]
            low, high = (scores[f"intervals/{name}/{end}"] for end in ("low", "high"))
            rows.append(
                f"<tr><td>{words}, {measure.replace('_', ' ')}<td>{_percent(scores[name])}"
                f"<td>{100 * low:.1f} to {_percent(high)}<td>{_percent(expected)}</tr>"
            )
    sets = {"samples": "samples", "val": "held-out images", "train": "training images"}
    counts = ", ".join(f"{scores[f'counts/num_{key}']:,.0f} {name}" for key, name in sets.items())
    return (
        "<table><tr><th>share of samples<th>value<th>95 % interval<th>expected of new images</tr>"
        f"{''.join(rows)}</table><p>{counts}</p>"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}\u00a0%"


def _row(index: int, sets: PictureSets, copies: Memorisation) -> str:
    samples, _, train = sets
    name = f"sample {html.escape(samples.keys[index])}"
    figures = [_figure(samples.load(index), name, name)]
    is_closer_than_all_val = False
    for measure, (nearest, val) in copies.pairs().items():
        place, distance = int(nearest.indices[index]), float(nearest.distances[index])
        closest = float(val.distances.min())
        is_closer = distance < closest
        is_closer_than_all_val |= is_closer
        bold = "b class='bad'" if is_closer else "b"
        title = (
            f"nearest {measure.replace('_', ' ')}: <{bold}>{distance:.4f}</b> "
            f"(held-out images: smallest {closest:.4f}, median {_median(val):.4f})<br>"
            f"{html.escape(train.keys[place])}"
        )
        alternative = f"training image nearest to it {measure.replace('_', ' ')}"
        figures.append(_figure(train.load(place), title, alternative))
    return f"<div class='pair{' bad' if is_closer_than_all_val else ''}'>{''.join(figures)}</div>"


def _median(neighbours: Neighbours) -> float:
    return float(np.median(neighbours.distances))


def _figure(picture: Pixels, title: str, alternative: str) -> str:
    """`title` and `alternative`, the text for those who do not see the image, are HTML."""
    image = Image.fromarray(picture)
    if image.width > MAX_WIDTH_PX:
        height = round(image.height * MAX_WIDTH_PX / image.width)
        image = image.resize((MAX_WIDTH_PX, height), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "PNG")
    data = base64.b64encode(content.getvalue()).decode()
    return (
        f"<figure><img alt='{alternative}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{title}</figcaption></figure>"
    )
