"""The score `likeness` of measured images, computed on the driver from their embeddings."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pdm.config.stages.curate import ContentConfig, CurateConfig
from pdm.curation.curate.cache import ScoreCache
from pdm.curation.curate.content.clip_model import Embeddings, load_clip_model
from pdm.curation.curate.content.embedding import unpack
from pdm.curation.curate.content.words import WordLikeness
from pdm.curation.curate.judge import measure_file
from pdm.data.decisions import Row

if TYPE_CHECKING:
    from pdm.curation.curate.content.examples import ExampleLikeness

BATCH_SIZE = 4096
DIGITS = 5  # that every machine gives alike


class Likeness(Protocol):
    """Scores how much images are like what is wanted.

    Attributes:
        facts: Numbers for the summary; may be empty.
        sha256s: Of the example files, if there are any.
    """

    facts: dict[str, int]
    sha256s: frozenset[str]

    def __call__(self, embeddings: Embeddings) -> NDArray[np.float64]:
        """(N, D) to (N,), from 0 to 1."""


def load_likeness(config: CurateConfig, cache: ScoreCache | None) -> Likeness | None:
    """Prepare the likeness that `config.content` describes; None if it is null.

    Args:
        config: The content, and the settings for measuring examples.
        cache: Of measured examples; new ones are added.

    Raises:
        BadInput: A folder is missing or unusable, or the model's file has another sha256.
        Unavailable: The model's file or a package of weights is missing.
    """
    content = config.content
    if content is None:
        return None
    if content.words is not None and content.not_words is not None:
        assert content.model is not None
        model = load_clip_model(Path(content.model.path), content.model.sha256)
        return WordLikeness(model, content.words, content.not_words)
    return _by_examples(content, config, cache)


def score_likeness(measured: Mapping[str, Row], likeness: Likeness | None) -> dict[str, float]:
    """The score of every measured row with an embedding, by the names of the rows."""
    if likeness is None:
        return {}
    names = [name for name, row in measured.items() if row.get("embedding") is not None]
    scores: dict[str, float] = {}
    for start in range(0, len(names), BATCH_SIZE):
        batch = names[start : start + BATCH_SIZE]
        values = likeness(np.stack([unpack(measured[name]["embedding"]) for name in batch]))
        scores |= {n: round(float(value), DIGITS) for n, value in zip(batch, values, strict=True)}
    return scores


def _by_examples(
    content: ContentConfig, config: CurateConfig, cache: ScoreCache | None
) -> "ExampleLikeness":
    # Here, since scikit-learn takes a second to import, and most runs compare with no examples.
    from pdm.curation.curate.content.examples import ExampleLikeness, example_files

    assert content.like is not None
    assert content.unlike is not None
    folders = Path(content.like), Path(content.unlike)
    files = [path for folder in folders for path in example_files(folder)]
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    rows = cache.load(digests) if cache else {}
    new_rows: dict[str, Row] = {}

    def measure(file: bytes) -> Row:
        sha256 = hashlib.sha256(file).hexdigest()
        if sha256 not in rows:
            new_rows[sha256] = rows[sha256] = measure_file(file, config)
        return rows[sha256]

    likeness = ExampleLikeness(*folders, content.min_likeness, measure)
    if cache:
        cache.store(new_rows)
    return likeness
