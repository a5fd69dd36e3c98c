"""Captions that are lists of tags, such as "lake, dusk, two boats": a training sees them in other
orders and with gaps, so that the order says nothing and each tag is learnt by itself.

A caption has a fixed number of versions, which follow from its text alone. So the states of a
frozen encoder can still be cached before a training, and serve later ones.
"""

import hashlib

import numpy as np

from pdm.config.networks.text import TagsConfig


def versions_of(caption: str, config: TagsConfig) -> tuple[str, ...]:
    """Return the versions of a caption; only itself if it has fewer than two tags.

    Args:
        caption: Tags with commas between them.
        config: How many versions, and what changes.
    """
    tags = [tag.strip() for tag in caption.split(",") if tag.strip()]
    if len(tags) < 2:
        return (caption,)
    return tuple(_version(caption, tags, number, config) for number in range(config.versions))


def _version(caption: str, tags: list[str], number: int, config: TagsConfig) -> str:
    digest = hashlib.blake2b(f"{number}/{caption}".encode(), digest_size=8).digest()
    generator = np.random.default_rng(int.from_bytes(digest))
    first, rest = tags[: config.keep_first], tags[config.keep_first :]
    shuffled = [rest[place] for place in generator.permutation(len(rest))]
    kept = generator.random(len(rest)) >= config.dropout
    # Never the empty text, which stands for no caption.
    chosen = [tag for tag, stays in zip(shuffled, kept, strict=True) if stays]
    return ", ".join([*first, *chosen] or shuffled[:1])
