"""Samples of about the size of a 2K crop, for reading and writing shards."""

import json
from pathlib import Path

import numpy as np

Sample = tuple[str, dict[str, bytes]]
SAMPLE_BYTES = 800_000  # a crop of 2048 x 1024 at JPEG quality 95: 0.37 bytes a pixel


def samples(num_samples: int, begin: int = 0) -> list[Sample]:
    """Keys with a picture of random bytes and a record each; nothing here decodes."""
    random = np.random.default_rng([SAMPLE_BYTES, begin])
    record = json.dumps({"url": "https://pictures.example/" + "x" * 60, "split": "train"}).encode()
    return [
        (f"{number:020x}", {"jpg": random.bytes(SAMPLE_BYTES), "json": record})
        for number in range(begin, begin + num_samples)
    ]


def num_bytes(many: list[Sample]) -> int:
    return sum(len(content) for _, parts in many for content in parts.values())


def read_into_cache(files: list[Path]) -> None:
    """Read files once, so that every side finds them in memory."""
    for file in files:
        file.read_bytes()
