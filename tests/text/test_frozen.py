"""Frozen encoders in Hugging Face's layout, with random weights, made here."""

import sys
from dataclasses import replace

import pytest
import torch
from shared.tiny_bert import write_bert

from pdm.config.networks.text import FrozenEncoderConfig
from pdm.errors import BadInput, Unavailable
from pdm.files import sha256_of
from pdm.text.frozen import FrozenEncoder, digest_of

CPU = torch.device("cpu")


def test_without_transformers_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    digest = sha256_of(tmp_path / "model.safetensors")
    config = FrozenEncoderConfig(
        kind="frozen", folder=str(tmp_path), sha256=digest, width=8, max_tokens=8
    )
    with pytest.raises(Unavailable, match=r'pip install "pyramid-diffusion\[text\]"'):
        FrozenEncoder(config, tmp_path, CPU)


def test_a_folder_that_is_missing_or_has_another_sha256_is_refused(tmp_path):
    config = FrozenEncoderConfig(
        kind="frozen", folder="bert", sha256="0" * 64, width=8, max_tokens=8
    )
    with pytest.raises(BadInput, match="no such folder with a text encoder"):
        digest_of(config, tmp_path)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(BadInput, match="has sha256"):
        digest_of(config, tmp_path)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return write_bert(tmp_path_factory.mktemp("bert"), max_tokens=6)


def test_states_are_those_of_the_encoder_and_the_same_every_time(bert, tmp_path):
    encoder = FrozenEncoder(bert, tmp_path, CPU)
    states = encoder.encode("A dune at noon")
    assert states.shape == (6, 8)
    assert states.std() > 0.1
    assert torch.equal(states, FrozenEncoder(bert, tmp_path, CPU).encode("A dune at noon"))
    assert encoder.encode("").shape == (2, 8)
    assert not torch.equal(states, encoder.encode("A sea at noon"))


def test_loading_prints_nothing_although_transformers_has_progress_bars(bert, tmp_path, capfd):
    transformers = pytest.importorskip("transformers")
    transformers.logging.enable_progress_bar()
    transformers.logging.set_verbosity_warning()
    FrozenEncoder(bert, tmp_path, CPU)
    assert capfd.readouterr() == ("", "")


def test_a_long_text_is_cut_and_its_length_is_known(bert, tmp_path):
    encoder = FrozenEncoder(bert, tmp_path, CPU)
    assert encoder.length("a dune at noon at sea") == 8
    assert len(encoder.encode("a dune at noon at sea")) == 6


def test_a_setting_that_does_not_fit_the_encoder_is_named(bert, tmp_path):
    with pytest.raises(BadInput, match=r"width is 9, but the states .* have 8"):
        FrozenEncoder(replace(bert, width=9), tmp_path, CPU)
    with pytest.raises(BadInput, match=r"max_tokens is 17, but .* reads at most 16 tokens"):
        FrozenEncoder(replace(bert, max_tokens=17), tmp_path, CPU)


def test_the_digest_follows_weights_tokenizer_and_length(bert, tmp_path):
    digests = {digest_of(bert, tmp_path), digest_of(replace(bert, max_tokens=5), tmp_path)}
    assert len(digests) == 2
    with (tmp_path / bert.folder / "vocab.txt").open("a") as file:
        file.write("more\n")
    assert digest_of(bert, tmp_path) not in digests
