"""CLIP's tokenizer: lower-case byte-pair encoding (Radford et al., arXiv:2103.00020, section 2.4).

The merges come with the network that was trained with them. Words are split as the published
tokenizer splits them, except that HTML entities and broken encodings are not repaired first.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

END_OF_WORD = "</w>"
NUM_MERGES = 49_152 - 256 - 2  # the published file has more lines; the rest was never used

# A contraction such as 's, a word of letters, a single digit, or a run of other signs.
_PIECES = re.compile(
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+"
)


class ClipTokenizer:
    """Converts texts to token ids.

    Args:
        merges: Text of CLIP's `bpe_simple_vocab_16e6.txt`, or of `merges.txt` of the same model: a
            comment line, then one pair of pieces per line, the most frequent pair first.

    Raises:
        ValueError: It is not a list of merges.
    """

    def __init__(self, merges: str) -> None:
        lines = merges.strip().split("\n")[1 : NUM_MERGES + 1]
        pairs = [tuple(line.split()) for line in lines]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise ValueError("its lines are not pairs of pieces")
        self._letters = _letters_of_bytes()
        pieces = list(self._letters.values())
        pieces += [piece + END_OF_WORD for piece in pieces]
        pieces += ["".join(pair) for pair in pairs]
        self._ids = {piece: number for number, piece in enumerate(pieces)}
        self._ranks = {pair: rank for rank, pair in enumerate(pairs)}
        self.start, self.end = len(pieces), len(pieces) + 1  # the vocabulary's last two

    def __call__(self, text: str) -> list[int]:
        """The token ids of a text, with those for start and end."""
        ids = [self.start]
        for piece in _PIECES.findall(" ".join(text.lower().split())):
            letters = "".join(self._letters[byte] for byte in piece.encode())
            ids += [self._ids[part] for part in self._merge(letters)]
        return [*ids, self.end]

    def _merge(self, word: str) -> list[str]:
        """Merge a word's letters pair by pair, the most frequent pair first."""
        parts = [*word[:-1], word[-1] + END_OF_WORD]
        while len(parts) > 1:
            best = min(pairwise(parts), key=self._rank)
            if best not in self._ranks:
                break
            parts = list(_join(parts, best))
        return parts

    def _rank(self, pair: tuple[str, str]) -> int:
        return self._ranks.get(pair, len(self._ranks))


def _join(parts: list[str], pair: tuple[str, str]) -> Iterator[str]:
    """Join every occurrence of the pair."""
    at = 0
    while at < len(parts):
        joined = tuple(parts[at : at + 2]) == pair
        yield "".join(pair) if joined else parts[at]
        at += 2 if joined else 1


def _letters_of_bytes() -> dict[int, str]:
    """A printable letter for each byte, in the vocabulary's order as in GPT-2's tokenizer: itself
    if it is printable, else a letter from 256 on."""
    printable: Iterable[int] = (*range(33, 127), *range(161, 173), *range(174, 256))
    letters = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in letters)
    return letters | {byte: chr(256 + number) for number, byte in enumerate(others)}
