"""Word pieces as BERT's (Devlin et al., arXiv:1810.04805): from a file, or made of texts.

A vocabulary is a list of pieces; a piece's number is its place. `##` begins a piece inside a word.
Texts are put into lower case and lose their accents. A text is [CLS], its pieces, [SEP].
The library `tokenizers` is imported where a text is read, since most trainings have none.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pdm.errors import BadInput, why

FILE_NAME = "vocab.txt"
PADDING, UNKNOWN, START, END = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MAX_CHARACTERS_OF_WORD = 100  # longer words are unknown, as BERT's


class WordPieces:
    """Turns texts into numbers of word pieces.

    Args:
        vocabulary: All pieces, with [UNK], [CLS] and [SEP].
        max_tokens: Longer texts are cut; the last token stays [SEP].
    """

    def __init__(self, vocabulary: Sequence[str], max_tokens: int) -> None:
        self.vocabulary, self.max_tokens = tuple(vocabulary), max_tokens
        numbers = {piece: number for number, piece in enumerate(vocabulary)}
        self._tokenizer = _tokenizer(numbers)
        self._ends = [numbers[START]], [numbers[END]]

    def encode(self, text: str) -> Tensor:
        """The numbers of a text's pieces, (n,) int64 with n from 2 to `max_tokens`."""
        start, end = self._ends
        pieces = self._tokenizer.encode(text).ids[: self.max_tokens - 2]
        return torch.tensor([*start, *pieces, *end])

    def length(self, text: str) -> int:
        """The number of a text's pieces, without a limit."""
        return len(self._tokenizer.encode(text).ids) + 2


def read_vocabulary(path: Path, vocabulary_size: int) -> tuple[str, ...]:
    """Read a `vocab.txt`.

    Raises:
        BadInput: There is no such file, it is no vocabulary, or it has more than `vocabulary_size`
            pieces.
    """
    try:
        pieces = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as a vocabulary ({why(error)})") from error
    pieces = [piece.removesuffix("\r") for piece in pieces]
    missing = [piece for piece in (UNKNOWN, START, END) if piece not in pieces]
    if missing or len(set(pieces)) != len(pieces):
        fault = f"lacks {', '.join(missing)}" if missing else "has a piece twice"
        raise BadInput(f"{path} {fault}; it must have one word piece per line, as BERT's vocab.txt")
    if len(pieces) > vocabulary_size:
        raise BadInput(
            f"{path} has {len(pieces):,} word pieces, more than vocabulary_size "
            f"({vocabulary_size:,}); raise it (in diffusion.task.encoder.transformer)"
        )
    return tuple(pieces)


def write_vocabulary(path: Path, vocabulary: Sequence[str]) -> None:
    """Write a `vocab.txt`."""
    path.write_text("".join(f"{piece}\n" for piece in vocabulary), encoding="utf-8")


def make_vocabulary(texts: Iterable[str], vocabulary_size: int) -> tuple[str, ...]:
    """Make at most `vocabulary_size` word pieces of some texts. Equal texts give equal pieces."""
    from tokenizers.trainers import WordPieceTrainer

    ordered = sorted(texts)
    tokenizer = _tokenizer({piece: number for number, piece in enumerate(SPECIAL)})
    # The trainer numbers the letters inside words in the order of a hash table, which differs from
    # call to call, and breaks ties by these numbers. So they are given to it.
    first = [*SPECIAL, *_letters_inside_words(tokenizer, ordered)]
    trainer = WordPieceTrainer(
        vocab_size=vocabulary_size, special_tokens=first, show_progress=False
    )
    tokenizer.train_from_iterator(ordered, trainer)
    numbers: dict[str, int] = tokenizer.get_vocab()
    return tuple(sorted(numbers, key=lambda piece: numbers[piece]))[:vocabulary_size]


def _letters_inside_words(tokenizer: Any, texts: Iterable[str]) -> list[str]:
    """Every letter that follows another in a word, as a piece, in order."""
    letters: set[str] = set()
    for text in texts:
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(
            tokenizer.normalizer.normalize_str(text)
        ):
            letters.update(word[1:])
    return [f"##{letter}" for letter in sorted(letters)]


def _tokenizer(numbers: dict[str, int]) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer

    model = WordPiece(numbers, unk_token=UNKNOWN, max_input_chars_per_word=MAX_CHARACTERS_OF_WORD)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer
