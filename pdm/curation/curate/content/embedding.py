"""The vector that an image becomes, to be compared with examples or words; on the workers."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdm.config.curate import ContentModelConfig, CurateConfig
from pdm.curation.curate.content.towers import load_towers
from pdm.curation.curate.scores.features import Features
from pdm.data.pixels import Pixels

Embedding = NDArray[np.float32]  # (D,), of length 1

STORED = np.float16  # changes a cosine by 0.001 at most; half the bytes
BUILT_IN = "efficientnet-lite0"


def embedding(image: Pixels, features: Features, model: ContentModelConfig | None) -> bytes:
    """What `unpack` takes.

    Args:
        image: (H, W, 3).
        features: Of the same image.
        model: A network to look with; None for that of `features`.
    """
    vector = features.pooled
    if model:
        vector = load_towers(Path(model.path), model.sha256).of_image(image)[0]
    length = max(float(np.linalg.norm(vector)), 1e-12)
    return (vector / length).astype(STORED).tobytes()


def unpack(stored: bytes) -> Embedding:
    """A vector from its bytes."""
    return np.frombuffer(stored, STORED).astype(np.float32)


def model_of(config: CurateConfig) -> ContentModelConfig | None:
    """The user's network, if there is one."""
    return config.content.model if config.content else None


def embedded_by(config: CurateConfig) -> str | None:
    """Names the network that embeds, None if none does: equal names mean equal embeddings."""
    model = model_of(config)
    if model:
        return model.sha256
    return BUILT_IN if config.content else None
