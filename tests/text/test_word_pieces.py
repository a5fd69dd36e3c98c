"""Word pieces: BERT's rules on a vocabulary file, and vocabularies made of captions."""

import pytest

from pdm.errors import BadInput
from pdm.text.word_pieces import (
    SPECIAL,
    WordPieces,
    make_vocabulary,
    read_vocabulary,
    write_vocabulary,
)

VOCABULARY = [*SPECIAL, "a", "dune", "##s", "!", "cafe", "sea"]
CAPTIONS = [f"a {colour} {thing}" for colour in ("red", "green") for thing in ("dune", "dunes")]


def test_the_rules_are_berts():
    pieces = WordPieces(VOCABULARY, max_tokens=16)
    text = "A Café: DUNES!"
    numbers = [VOCABULARY[number] for number in pieces.encode(text).tolist()]
    assert numbers == ["[CLS]", "a", "cafe", "[UNK]", "dune", "##s", "!", "[SEP]"]
    assert pieces.encode("").tolist() == [2, 3]


def test_a_long_text_is_cut_and_keeps_its_end():
    pieces = WordPieces(VOCABULARY, max_tokens=4)
    assert [VOCABULARY[n] for n in pieces.encode("a dune sea a")] == ["[CLS]", "a", "dune", "[SEP]"]
    assert pieces.length("a dune sea a") == 6


def test_equal_captions_in_any_order_make_equal_vocabularies():
    made = make_vocabulary(CAPTIONS, 40)
    assert made[:4] == SPECIAL
    assert len(made) <= 40
    for order in (CAPTIONS[::-1], [*CAPTIONS[2:], *CAPTIONS[:2]]):
        assert make_vocabulary(order, 40) == made


def test_a_vocabulary_made_of_captions_knows_every_word_of_them():
    pieces = WordPieces(make_vocabulary(CAPTIONS, 60), max_tokens=32)
    for caption in CAPTIONS:
        assert 1 not in pieces.encode(caption)


def test_a_vocabulary_comes_back_from_its_file(tmp_path):
    write_vocabulary(tmp_path / "vocab.txt", VOCABULARY)
    assert read_vocabulary(tmp_path / "vocab.txt", 10) == tuple(VOCABULARY)
    (tmp_path / "vocab.txt").write_bytes("\r\n".join(VOCABULARY).encode())
    assert read_vocabulary(tmp_path / "vocab.txt", 10) == tuple(VOCABULARY)


@pytest.mark.parametrize(
    ("pieces", "message"),
    [
        (["[UNK]", "[CLS]", "a"], r"lacks \[SEP\]; it must have one word piece per line"),
        ([*SPECIAL, "a", "a"], "has a piece twice"),
        ([*VOCABULARY, "##more"], r"has 11 word pieces, more than vocabulary_size \(10\)"),
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(tmp_path, pieces, message):
    write_vocabulary(tmp_path / "vocab.txt", pieces)
    with pytest.raises(BadInput, match=message):
        read_vocabulary(tmp_path / "vocab.txt", 10)
    with pytest.raises(BadInput, match="cannot be read as a vocabulary"):
        read_vocabulary(tmp_path / "none.txt", 10)
