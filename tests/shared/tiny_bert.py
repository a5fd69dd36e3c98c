"""A tiny BERT with random weights in Hugging Face's layout; skips where transformers is absent."""

import json
from pathlib import Path

import pytest
import torch

from pdm.config.networks.text import FrozenEncoderConfig
from pdm.files import sha256_of
from pdm.text.word_pieces import SPECIAL, write_vocabulary

WORDS = [*SPECIAL, "[MASK]", "a", "dune", "sea", "at", "noon", "##s"]
WORDS += ["bright", "dark", "picture", "something", "light", "night"]


def write_bert(folder: Path, max_tokens: int) -> FrozenEncoderConfig:
    """Write the encoder, and give the settings that name it."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    settings = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=16,
    )
    transformers.BertModel(settings).save_pretrained(folder)
    write_vocabulary(folder / "vocab.txt", WORDS)
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    return FrozenEncoderConfig(
        kind="frozen",
        folder=str(folder),
        sha256=sha256_of(folder / "model.safetensors"),
        width=8,
        max_tokens=max_tokens,
    )
