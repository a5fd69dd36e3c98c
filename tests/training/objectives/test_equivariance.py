import torch

from pdm.training.objectives.equivariance import (
    downscale_images,
    downscale_latents,
    factors_that_fit,
)


def test_every_level_that_is_a_map_shrinks_and_the_global_one_stays():
    pyramid = (torch.randn(2, 6, 1, 1), torch.randn(2, 3, 2, 4), torch.randn(2, 2, 8, 16))
    shrunk = downscale_latents(pyramid, ("global", 32, 8), 2)
    assert [tuple(level.shape) for level in shrunk] == [(2, 6, 1, 1), (2, 3, 1, 2), (2, 2, 4, 8)]
    assert shrunk[0] is pyramid[0]
    torch.testing.assert_close(shrunk[1][..., 0, 1], pyramid[1][..., :, 2:].mean((2, 3)))


def test_a_prefix_is_reduced_like_the_full_pyramid():
    """Each level is scaled by itself, so a scaled prefix is a prefix of the scaled pyramid."""
    pyramid = (torch.randn(1, 2, 1, 1), torch.randn(1, 2, 4, 4), torch.randn(1, 2, 8, 8))
    whole = downscale_latents(pyramid, ("global", 8, 4), 4)
    part = downscale_latents(pyramid[:2], ("global", 8), 4)
    assert all(torch.equal(a, b) for a, b in zip(part, whole, strict=False))


def test_latents_that_are_a_reduced_picture_shrink_as_the_picture_does():
    images = torch.randn(2, 3, 32, 64)
    latents = (downscale_images(images, 8),)
    shrunk = downscale_latents(latents, (8,), 2)[0]
    torch.testing.assert_close(shrunk, downscale_images(downscale_images(images, 2), 8))


def test_factors_divide_the_coarsest_level():
    assert factors_that_fit((64, 128), ("global", 32, 4)) == (2,)
    assert factors_that_fit((64, 128), ("global", 16, 4)) == (2, 4)
    assert factors_that_fit((64, 96), ("global", 32, 4)) == ()
    assert factors_that_fit((256, 256), (8,)) == (2, 4)
