"""The score `likeness` of measured images, computed on the driver from their embeddings."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pdm.config.curate import ContentConfig, CurateConfig
from pdm.curation.curate.cache import ScoreCache
from pdm.curation.curate.content.embedding import unpack
from pdm.curation.curate.content.examples import ExampleLikeness, example_files
from pdm.curation.curate.content.towers import Embeddings, load_towers
from pdm.curation.curate.content.words import WordLikeness
from pdm.curation.curate.judge import measure_file
from pdm.data.decisions import Row

IMAGES_AT_ONCE = 4096
DIGITS = 5  # that are repeatable


class Likeness(Protocol):
    """To what is wanted.

    Attributes:
        facts: Numbers for the summary; may be empty.
        sha256s: Of the image files that it was made from.
    """

    facts: dict[str, int]
    sha256s: frozenset[str]

    def __call__(self, embeddings: Embeddings) -> NDArray[np.float64]:
        """(N, D) to (N,), from 0 to 1."""


def load_likeness(config: CurateConfig, store: ScoreCache | None) -> Likeness | None:
    """What `config.content` asks for, or None if it asks for nothing.

    Args:
        config: Its content, and how examples are measured.
        store: Where examples that were measured before are found; new ones are added.

    Raises:
        BadInput: A folder is missing or unfit, or the model's file is not what was meant.
        Unavailable: The model's file, or a package of weights, is not there.
    """
    content = config.content
    if content is None:
        return None
    if content.words is not None and content.not_words is not None:
        assert content.model is not None
        towers = load_towers(Path(content.model.path), content.model.sha256)
        return WordLikeness(towers, content.words, content.not_words)
    return _by_examples(content, config, store)


def likenesses(measured: Mapping[str, Row], likeness: Likeness | None) -> dict[str, float]:
    """The score of every measured row that has an embedding, by the same names."""
    if likeness is None:
        return {}
    names = [name for name, row in measured.items() if row.get("embedding") is not None]
    found: dict[str, float] = {}
    for start in range(0, len(names), IMAGES_AT_ONCE):
        some = names[start : start + IMAGES_AT_ONCE]
        scores = likeness(np.stack([unpack(measured[name]["embedding"]) for name in some]))
        found |= {name: round(float(one), DIGITS) for name, one in zip(some, scores, strict=True)}
    return found


def _by_examples(
    content: ContentConfig, config: CurateConfig, store: ScoreCache | None
) -> ExampleLikeness:
    assert content.like is not None
    assert content.unlike is not None
    folders = Path(content.like), Path(content.unlike)
    files = [path for folder in folders for path in example_files(folder)]
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    known = store.load(digests) if store else {}
    new: dict[str, Row] = {}

    def measured(file: bytes) -> Row:
        sha256 = hashlib.sha256(file).hexdigest()
        if sha256 not in known:
            new[sha256] = known[sha256] = measure_file(file, config)
        return known[sha256]

    likeness = ExampleLikeness(*folders, content.min_likeness, measured)
    if store:
        store.keep(new)
    return likeness
