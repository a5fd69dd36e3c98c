"""Computes the embedding of an image, which is compared with examples or words; on the workers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdm.config.stages.curate import ContentModelConfig
from pdm.curation.curate.content.clip_model import load_clip_model
from pdm.curation.curate.scores.features import Features
from pdm.data.pixels import Pixels

Embedding = NDArray[np.float32]  # (D,), of length 1

STORED = np.float16  # half the bytes; changes a cosine by 0.001 at most


def embed(image: Pixels, features: Features, model: ContentModelConfig | None) -> bytes:
    """Compute the embedding of an image, packed for storage; see `unpack`.

    Args:
        image: (H, W, 3).
        features: Of the same image.
        model: The network to use; None for that of `features`.
    """
    vector = features.pooled
    if model:
        vector = load_clip_model(Path(model.path), model.sha256).embed_image(image)[0]
    length = max(float(np.linalg.norm(vector)), 1e-12)
    return (vector / length).astype(STORED).tobytes()


def unpack(stored: bytes) -> Embedding:
    """The embedding from its stored bytes."""
    return np.frombuffer(stored, STORED).astype(np.float32)
