"""LDM's encoder of texts and of layouts: a transformer over word pieces, or over the tokens of
boxes, trained with the denoising network.

Its layers are those of LDM's code (`x_transformer.py`): normalisation first, learned positions, no
biases in queries, keys and values, GELU. Unlike LDM's, no token reads padding.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.config.networks.text import TextTransformerConfig
from pdm.models.condition import Condition

EMBEDDING_STD = 0.02


class TextTransformer(nn.Module):
    """Token states of texts.

    Args:
        config: Sizes.
    """

    def __init__(self, config: TextTransformerConfig) -> None:
        super().__init__()
        self.pieces = nn.Embedding(config.vocabulary_size, config.width)
        self.positions = nn.Parameter(torch.empty(config.max_tokens, config.width))
        for weight in (self.pieces.weight, self.positions):
            nn.init.normal_(weight, std=EMBEDDING_STD)
        self.layers = nn.ModuleList(TextLayer(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode texts into states (B, N, width).

        Args:
            ids: (B, N) int64, word pieces.
            mask: (B, N) bool, False for padding. Every text has a token.
        """
        states = self.pieces(ids) + self.positions[: ids.shape[1]]
        for layer in self.layers:
            states = layer(states, mask)
        encoded: Tensor = self.norm(states)
        return encoded


def encode_text_condition(encoder: TextTransformer | None, condition: Condition) -> Condition:
    """Put the states of its texts into a condition that has their word pieces.

    A condition that has states already stays as it is: a sampler encodes its texts once.
    """
    tokens, mask = condition.tokens, condition.mask
    if encoder is None or tokens is None or tokens.is_floating_point():
        return condition
    if mask is None:
        mask = torch.ones_like(tokens, dtype=torch.bool)
    return replace(condition, tokens=encoder(tokens, mask))


class TextLayer(nn.Module):
    """Self-attention, then two layers for each token; each adds to its input."""

    def __init__(self, config: TextTransformerConfig) -> None:
        super().__init__()
        width, inner = config.width, config.num_heads * config.head_width
        self.num_heads = config.num_heads
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * inner, bias=False)
        self.projection = nn.Linear(inner, width)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """(B, N, width) and (B, N) to (B, N, width)."""
        batch, count, _ = states.shape
        parts = self.query_key_value(self.attention_norm(states)).chunk(3, dim=-1)
        query, key, value = (
            part.reshape(batch, count, self.num_heads, -1).transpose(1, 2) for part in parts
        )
        attended = F.scaled_dot_product_attention(query, key, value, mask[:, None, None, :])
        states = states + self.projection(attended.transpose(1, 2).reshape(batch, count, -1))
        fed: Tensor = states + self.feed(self.feed_norm(states))
        return fed
