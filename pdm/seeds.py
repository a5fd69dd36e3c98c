"""Seeds of random numbers: one for each purpose, and generators that tell all of them apart.

torch's generators on the CPU read only the low 32 bits of a seed. So adding a large number to a
seed does not make another one: for 2^32 or more it gives the same numbers again.
"""

import hashlib

import torch

SEEDS_OF_A_GENERATOR = 2**32


def seed_at(seed: int, position: int, purpose: str) -> int:
    """Derive a 63-bit seed for one purpose at one position; neighbours are unrelated."""
    text = f"{seed}/{position}/{purpose}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


def generator_of(seed: int) -> torch.Generator:
    """Make a CPU generator. Seeds of 2^32 or more are hashed first, so that all their bits count.

    Args:
        seed: At least 0.
    """
    if seed >= SEEDS_OF_A_GENERATOR:
        seed = seed_at(seed, 0, "generator")
    return torch.Generator().manual_seed(seed)
