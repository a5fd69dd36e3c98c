"""Likeness to examples: a logistic regression between the images of two folders."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from pdm.counts import counted
from pdm.curation.curate.content.clip_model import Embeddings
from pdm.curation.curate.content.embedding import unpack
from pdm.curation.scrape.sources.hidden import is_hidden
from pdm.data.decisions import Row
from pdm.errors import BadInput

Measure = Callable[[bytes], Row]  # an image file's bytes to its measured row

logger = logging.getLogger(__name__)

MIN_EXAMPLES = 8  # in each folder; a few dozen are better
NUM_FOLDS = 5
MAX_NAMED = 5  # files in a message
INVERSE_REGULARISATION = 100.0  # for embeddings of length 1


class ExampleLikeness:
    """How much more an image is like those of one folder than those of another.

    `facts` has the number of examples of each folder, and how many of them would be kept
    (cross-validated).

    Args:
        like: Folder of wanted images; folders below it count too.
        unlike: Folder of unwanted images; likewise.
        limit: The limit of likeness, for `facts`.
        measure: Measures an example.

    Raises:
        BadInput: A folder is missing or has too few usable images, or both have the same image.
    """

    def __init__(self, like: Path, unlike: Path, limit: float, measure: Measure) -> None:
        sides = _read_side("like", like, measure), _read_side("unlike", unlike, measure)
        _check_disjoint(*sides)
        vectors = np.concatenate([side.vectors for side in sides]).astype(np.float64)
        wanted = np.repeat([1, 0], [len(side.vectors) for side in sides])
        model = LogisticRegression(C=INVERSE_REGULARISATION, class_weight="balanced", max_iter=1000)
        folds = StratifiedKFold(NUM_FOLDS)
        held_out = cross_val_predict(model, vectors, wanted, cv=folds, method="predict_proba")[:, 1]
        self._model = model.fit(vectors, wanted)
        self.sha256s = frozenset(sha256 for side in sides for sha256 in side.paths)
        self.facts = _facts(held_out, wanted, limit)
        logger.info(
            "curate.content: in cross-validation, %d of %d examples in like and %d of %d in unlike "
            "are kept at min_likeness %g",
            *(self.facts[name] for name in ("like_kept", "like", "unlike_kept", "unlike")),
            limit,
        )

    def __call__(self, embeddings: Embeddings) -> NDArray[np.float64]:
        """(N, D) to (N,): the probability that an image is of the wanted kind."""
        odds: NDArray[np.float64] = self._model.predict_proba(embeddings.astype(np.float64))
        return odds[:, 1]


@dataclass(frozen=True, slots=True)
class _Side:
    """The usable images of a folder."""

    paths: dict[str, Path]  # by sha256
    vectors: Embeddings


def _read_side(name: str, root: Path, measure: Measure) -> _Side:
    if not root.is_dir():
        raise BadInput(f"curate.content.{name}: {root} is not a folder; put example images there")
    paths: dict[str, Path] = {}
    vectors, unusable = [], []
    for path in example_files(root):
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 in paths:
            continue
        row = measure(content)
        if row["embedding"] is None:
            unusable.append(f"{path.relative_to(root)} ({_why_unusable(row)})")
        else:
            paths[sha256] = path
            vectors.append(unpack(row["embedding"]))
    listed = _listed(unusable)
    if len(vectors) < MIN_EXAMPLES:
        raise BadInput(
            f"curate.content.{name}: {root} has {counted(len(vectors), 'usable image')}; at least "
            f"{MIN_EXAMPLES} are needed, and a few dozen are better"
            + (f"; not used: {listed}" if unusable else "")
        )
    if unusable:
        logger.warning("curate.content.%s: not used: %s", name, listed)
    return _Side(paths, np.stack(vectors))


def example_files(root: Path) -> list[Path]:
    """All files below a folder, sorted, without hidden ones; none if there is no such folder."""
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file() and not any(map(is_hidden, path.relative_to(root).parts))
    )


def _why_unusable(row: Row) -> str:
    if row["fault_detail"]:
        return str(row["fault_detail"]).rstrip(".")
    return "animated" if row["animated"] else "too large, or less than 64 pixels high or wide"


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return "; ".join(names[:MAX_NAMED]) + more


def _check_disjoint(like: _Side, unlike: _Side) -> None:
    shared = sorted(like.paths[sha256] for sha256 in like.paths.keys() & unlike.paths.keys())
    if shared:
        raise BadInput(
            f"curate.content: {_listed([str(path) for path in shared])}: the same image is also in "
            "the folder unlike; remove one of the two"
        )


def _facts(
    held_out: NDArray[np.float64], wanted: NDArray[np.int64], limit: float
) -> dict[str, int]:
    is_kept = held_out >= limit
    return {
        "like": int(wanted.sum()),
        "like_kept": int(is_kept[wanted == 1].sum()),
        "unlike": int((1 - wanted).sum()),
        "unlike_kept": int(is_kept[wanted == 0].sum()),
    }
