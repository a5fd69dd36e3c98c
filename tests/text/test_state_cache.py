"""The cache of token states: each text is encoded once, and its states come back bit for bit."""

import logging

import pytest
import torch

from pdm.text import state_cache
from pdm.text.state_cache import StateCache
from pdm.text.tokens import pad


class Encoder:
    """Counts its calls; a text has a state for each character and one more."""

    def __init__(self):
        self.texts = []

    def encode(self, text):
        self.texts.append(text)
        return torch.randn(len(text) + 1, 4, generator=torch.Generator().manual_seed(len(text)))


def test_each_text_is_encoded_once_and_comes_back_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(state_cache, "TEXTS_PER_FILE", 2)
    encoder, texts = Encoder(), ["a boat", "", "a dune", "a boat", "a lake at dusk"]
    assert StateCache(tmp_path / "states").fill(texts, encoder.encode) == 4
    assert sorted(encoder.texts) == sorted(set(texts))
    again = StateCache(tmp_path / "states")
    assert again.fill([*texts, "one more"], encoder.encode) == 1
    for text in texts:
        assert torch.equal(again.states(text), Encoder().encode(text))
    with pytest.raises(KeyError):
        again.states("unknown")


def test_a_damaged_file_is_named_and_its_texts_are_encoded_again(tmp_path, caplog):
    encoder = Encoder()
    StateCache(tmp_path).fill(["a", "b"], encoder.encode)
    path = next(tmp_path.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-5])
    with caplog.at_level(logging.WARNING):
        again = StateCache(tmp_path)
    assert path.name in caplog.text
    assert again.fill(["a", "b"], encoder.encode) == 2
    assert torch.equal(again.states("b"), Encoder().encode("b"))


def test_padding_is_marked_and_zero():
    values, mask = pad([torch.ones(2, 3), torch.ones(1, 3)], 4)
    assert values.shape == (2, 4, 3)
    assert mask.tolist() == [[True, True, False, False], [True, False, False, False]]
    assert values[~mask].abs().sum() == 0
