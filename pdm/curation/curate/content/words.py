"""Likeness to words: the share of a network's certainty that falls to those that are wanted."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pdm.curation.curate.content.towers import Embeddings, Towers

# CLIP multiplies cosines by the inverse of its temperature, which training drives to this limit
# (Radford et al., arXiv:2103.00020, section 2.5).
SCALE = 100.0


class WordLikeness:
    """Of images to words.

    Args:
        towers: What embedded the images.
        words: Any of these is wanted.
        not_words: None of these is.
    """

    def __init__(self, towers: Towers, words: Sequence[str], not_words: Sequence[str]) -> None:
        self._texts = towers.of_texts([*words, *not_words])
        self._num_wanted = len(words)
        self.facts: dict[str, int] = {}
        self.sha256s: frozenset[str] = frozenset()

    def __call__(self, embeddings: Embeddings) -> NDArray[np.float64]:
        """(N, D) to (N,): the sum of a softmax over all words, of those that are wanted."""
        logits = SCALE * (embeddings.astype(np.float64) @ self._texts.T)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        wanted: NDArray[np.float64] = odds[:, : self._num_wanted].sum(axis=1) / odds.sum(axis=1)
        return wanted
