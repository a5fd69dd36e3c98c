import torch

from pdm.diffusion.samplers import noise_from_seeds
from pdm.diffusion.stochastic import fresh_noise

SHAPES = [(8, 1, 1), (4, 8, 16)]
CPU = torch.device("cpu")


def test_fresh_noise_is_unrelated_to_the_noise_that_sampling_starts_from():
    """Seeds that differ by a multiple of 2^32 would give the same numbers on the CPU."""
    seeds = range(50)
    start, draw = noise_from_seeds(seeds, SHAPES), fresh_noise(seeds, SHAPES, CPU)
    for _ in range(2):
        for level, fresh in zip(start, draw(), strict=True):
            assert abs((level * fresh).mean().item()) < 5 / level.numel() ** 0.5


def test_seeds_that_differ_in_their_high_bits_only_give_other_noise():
    for one, other in ((0, 2**32), (7, 7 + 2**40), (2**32, 2**33)):
        for a, b in zip(
            noise_from_seeds([one], SHAPES), noise_from_seeds([other], SHAPES), strict=True
        ):
            assert not torch.equal(a, b)
