"""Likeness to words: the probability that a CLIP-like network gives to the wanted ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pdm.curation.curate.content.clip_model import ClipModel, Embeddings

# CLIP multiplies cosines by the inverse of its temperature, which training drives to this limit
# (Radford et al., arXiv:2103.00020, section 2.5).
SCALE = 100.0


class WordLikeness:
    """How much more an image is like wanted words than like unwanted ones.

    Args:
        model: The network that embedded the images.
        words: Descriptions of wanted images.
        not_words: Descriptions of unwanted images.
    """

    def __init__(self, model: ClipModel, words: Sequence[str], not_words: Sequence[str]) -> None:
        self._texts = model.embed_texts([*words, *not_words])
        self._num_wanted = len(words)
        self.facts: dict[str, int] = {}
        self.sha256s: frozenset[str] = frozenset()

    def __call__(self, embeddings: Embeddings) -> NDArray[np.float64]:
        """(N, D) to (N,): a softmax over all words, summed over the wanted ones."""
        logits = SCALE * (embeddings.astype(np.float64) @ self._texts.T)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        share: NDArray[np.float64] = odds[:, : self._num_wanted].sum(axis=1) / odds.sum(axis=1)
        return share
