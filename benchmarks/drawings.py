"""Trains and measures the judge of drawings, `pdm.curation.curate.scores.drawing`.

    .venv/bin/python benchmarks/drawings.py --pictures FOLDER --json

benchmarks/picture_packages.py fills FOLDER; nothing is fetched here. The figures are
cross-validated: the pictures of each source are judged by coefficients that were trained on all
other sources. The limit is that of params.yaml; beside it are the figures of a limit that loses a
fiftieth of the photographs of all other sources. Each picture is used as its finished crop and as
three views of it: a part, mirrored, reduced, in other tones, or saved as a JPEG. --write then
trains on all pictures and writes the coefficients.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.parts.curation.other_views import other_view
from benchmarks.picture_packages import Picture, pictures
from benchmarks.shared.checkout import ROOT
from benchmarks.shared.machine import machine
from benchmarks.shared.markdown import table_lines
from pdm import params
from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate.judge import finished_crop
from pdm.curation.curate.scores.drawing import HEAD, inputs_of
from pdm.curation.curate.scores.features import compute_features
from pdm.files import write_json
from pdm.progress import Progress

NUM_VIEWS = 3
# Inverse strength of the regularisation, for weights that sum up to 1. Of 5 to 500 the strongest
# lost the fewest held-out photographs at 19 of 20 drawings caught.
STRENGTH = 5.0
MIN_DEVIATION = 1e-3  # of an input; less is divided as if it were so much
MAX_LOST = 0.02  # of the photographs
# Of drawings, wallpapers are most of what is large enough to reach this judge, and the hardest.
WEIGHT_OF_WALLPAPERS = 4.0

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Example:
    """A picture and what the regression sees of it: its crop first, then its views."""

    picture: Picture
    inputs: Array  # (1 + NUM_VIEWS, D)

    @property
    def is_drawing(self) -> bool:
        return self.picture.kind != "photograph"


@dataclass(frozen=True, slots=True)
class Head:
    """Coefficients of standardised inputs, brought back to the inputs' own scale."""

    weights: Array
    bias: float

    def scores(self, inputs: Array) -> Array:
        """(N, D) to (N,)."""
        scores: Array = 1 / (1 + np.exp(-(inputs @ self.weights + self.bias)))
        return scores


def main() -> None:
    args = _arguments()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    config = params.load(ROOT / "params.yaml").curate
    examples = _load_examples(pictures(args.pictures), config, args.inputs)
    scores = _held_out(examples)
    caught = {
        "at_limit": scores > config.max_drawing_likeness,
        "at_cut": scores > _cuts(examples, scores),
    }
    print(_table(examples, caught))
    if args.write:
        _write(train_head(examples), examples)
    if args.json:
        shares = {name: _shares(examples, some) for name, some in caught.items()}
        facts = {"limit": config.max_drawing_likeness, "machine": machine()}
        print(json.dumps(shares | facts))


def train_head(examples: Sequence[Example]) -> Head:
    """A logistic regression that takes both sides for equally frequent.

    A source counts by the root of the number of its pictures: a large one tells more than a small
    one, but not in proportion.
    """
    drawings = np.array([each.is_drawing for each in examples])
    groups = Counter((each.picture.source, each.is_drawing) for each in examples)
    weights = np.array([groups[each.picture.source, each.is_drawing] ** -0.5 for each in examples])
    weights[[each.picture.kind == "wallpaper" for each in examples]] *= WEIGHT_OF_WALLPAPERS
    for side in (True, False):
        weights[drawings == side] /= 2 * weights[drawings == side].sum()
    inputs = np.concatenate([each.inputs for each in examples])
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0) + MIN_DEVIATION
    model = LogisticRegression(C=STRENGTH, max_iter=2000, tol=1e-6)
    count = 1 + NUM_VIEWS
    model.fit((inputs - mean) / deviation, drawings.repeat(count), weights.repeat(count) / count)
    coefficients = model.coef_[0] / deviation
    return Head(coefficients, float(model.intercept_[0] - coefficients @ mean))


def _load_examples(chosen: list[Picture], config: CurateConfig, kept: Path | None) -> list[Example]:
    """The examples of all pictures; those that are too small to be measured are left out."""
    known = dict(np.load(kept)) if kept and kept.is_file() else {}
    progress = Progress("drawings", len(chosen))
    examples = []
    for picture in chosen:
        content = picture.path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in known:
            known[sha256] = _inputs(content, int(sha256[:8], 16), config)
        progress.advance()
        if len(known[sha256]):
            examples.append(Example(picture, known[sha256].astype(np.float64)))
    if kept:
        np.savez(kept, **known)
    return examples


def _inputs(content: bytes, seed: int, config: CurateConfig) -> NDArray[np.float32]:
    crop = finished_crop(content, config)
    if crop is None:
        return np.zeros((0, 0), np.float32)
    random = np.random.default_rng(seed)
    views = [crop, *(other_view(crop, random) for _ in range(NUM_VIEWS))]
    return np.stack([inputs_of(compute_features(view)) for view in views]).astype(np.float32)


def _held_out(examples: list[Example]) -> Array:
    """The score of each picture's crop, from a head that has seen nothing of its source."""
    scores = np.zeros(len(examples))
    sources = [each.picture.source for each in examples]
    for source in sorted(set(sources)):
        head = train_head([each for each in examples if each.picture.source != source])
        for place in (place for place, name in enumerate(sources) if name == source):
            scores[place] = head.scores(examples[place].inputs[:1])[0]
    return scores


def _cuts(examples: list[Example], scores: Array) -> Array:
    """For each picture the least limit that loses `MAX_LOST` of other sources' photographs."""
    sources = np.array([each.picture.source for each in examples])
    drawings = np.array([each.is_drawing for each in examples])
    cuts = {
        source: np.quantile(scores[(sources != source) & ~drawings], 1 - MAX_LOST)
        for source in set(sources)
    }
    return np.array([cuts[source] for source in sources])


def _table(examples: list[Example], caught: dict[str, NDArray[np.bool_]]) -> str:
    heads, rows = ("source", "kind", "number", "over the limit", "over the cut"), []
    groups = [(each.picture.source, each.picture.kind) for each in examples]
    for group in sorted(set(groups), key=lambda each: (each[1], each[0])):
        within = np.array([each == group for each in groups])
        counts = (str(some[within].sum()) for some in caught.values())
        rows.append((*group, str(within.sum()), *counts))
    return "\n".join(table_lines(heads, rows))


def _shares(examples: list[Example], caught: NDArray[np.bool_]) -> dict[str, float]:
    kinds = np.array([each.picture.kind for each in examples])
    shares = {kind: float(caught[kinds == kind].mean()) for kind in sorted(set(kinds))}
    lost = {"photographs_lost": shares.pop("photograph")}
    return lost | {f"{kind}s_caught": share for kind, share in shares.items()}


def _write(head: Head, examples: list[Example]) -> None:
    """Write the coefficients and their origin: packages, numbers, one digest of all pictures."""
    digest = hashlib.sha256()
    for each in examples:
        digest.update(hashlib.sha256(each.picture.path.read_bytes()).digest())
    counts = Counter(f"{each.picture.source}: {each.picture.kind}s" for each in examples)
    write_json(
        HEAD,
        {
            "made_by": "benchmarks/drawings.py --write",
            "packages": sorted({each.picture.package for each in examples}),
            "pictures": dict(sorted(counts.items())),
            "pictures_sha256": digest.hexdigest(),
            "bias": round(head.bias, 5),
            "weights": [float(f"{weight:.5g}") for weight in head.weights],
        },
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Drawings caught, photographs lost.")
    parser.add_argument("--pictures", metavar="FOLDER", type=Path, required=True)
    parser.add_argument(
        *("--inputs", "--keep-inputs"),
        dest="inputs",
        metavar="FILE.npz",
        type=Path,
        help="what was seen of the pictures; written, and read instead of looking again",
    )
    parser.add_argument("--write", action="store_true", help="write the judge's coefficients")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return parser.parse_args()


if __name__ == "__main__":
    main()
