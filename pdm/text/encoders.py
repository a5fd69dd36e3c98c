"""What every way of turning text into tokens has in common."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from torch import Tensor

from pdm.text.state_cache import StateCache
from pdm.text.tokens import Texts, log_cut, pad


class TextEncoder(Protocol):
    """Turns one text into the tensor that the network reads, whatever other texts there are."""

    max_tokens: int

    def encode(self, text: str) -> Tensor:
        """(n,) int64 word pieces, or (n, width) float32 states; n from 1 to `max_tokens`."""

    def length(self, text: str) -> int:
        """The number of its tokens, without a limit."""


class CachedStates:
    """The states of texts that are all in a cache. The frozen encoder itself is not needed.

    Args:
        cache: Of one encoder.
        max_tokens: That of the encoder.
    """

    def __init__(self, cache: StateCache, max_tokens: int) -> None:
        self._cache, self.max_tokens = cache, max_tokens

    def encode(self, text: str) -> Tensor:
        """The states of a text; KeyError if the cache does not have it."""
        return self._cache.states(text)


def encode_batch(encoder: CachedStates | TextEncoder, texts: Sequence[str]) -> Texts:
    """Encode the texts of a batch, and pad all to `max_tokens`.

    The length is the same for all batches, so compiled networks stay compiled.
    """
    return pad([encoder.encode(text) for text in texts], encoder.max_tokens)


def report_cut(encoder: TextEncoder, texts: Iterable[str], key: str) -> int:
    """Log how many different texts are longer than the encoder reads, and return their number.

    Args:
        encoder: Counts tokens.
        texts: Captions.
        key: The setting to raise.
    """
    lengths = [encoder.length(text) for text in set(texts)]
    num_cut = sum(length > encoder.max_tokens for length in lengths)
    log_cut(num_cut, len(lengths), max(lengths, default=0), encoder.max_tokens, key)
    return num_cut
