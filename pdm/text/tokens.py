"""Texts as tensors of one length, with a mask; and the count of texts that were cut."""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


class Texts(NamedTuple):
    """Texts of a batch, padded to one length with zeros."""

    values: Tensor  # (B, N) int64 word pieces, or (B, N, width) float32 states
    mask: Tensor  # (B, N) bool, False for padding


def pad(parts: Sequence[Tensor], length: int) -> Texts:
    """Pad tensors (n, ...) with n <= length to one tensor (B, length, ...)."""
    values = parts[0].new_zeros(len(parts), length, *parts[0].shape[1:])
    mask = torch.zeros(len(parts), length, dtype=torch.bool)
    for row, part in enumerate(parts):
        values[row, : len(part)] = part
        mask[row, : len(part)] = True
    return Texts(values, mask)


def log_cut(num_cut: int, total: int, longest: int, limit: int, key: str) -> None:
    """Say how many texts are longer than the limit."""
    if num_cut:
        logger.warning(
            "text: %s of %s captions (%.1f %%) have more than %d tokens and are cut; the longest "
            "has %d; raise %s to keep them whole",
            f"{num_cut:,}",
            f"{total:,}",
            100 * num_cut / total,
            limit,
            longest,
            key,
        )
