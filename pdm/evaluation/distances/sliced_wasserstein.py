"""Sliced Wasserstein distance between the patches of two sets of pictures, per Laplacian level.

As in Karras et al., arXiv:1710.10196, section 5, with one change: both sets are normalised by the
reference's channel means and deviations, not each by its own. So a set that is duller or tinted,
but otherwise equal, scores worse, as it should.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pdm.evaluation.distances.moments import Array

PATCH_SIDE_PX = 7

# Patches of further pictures are not kept: 2^16 patches take 38 MB per level, and are enough.
MAX_PATCHES = 2**16

NUM_PLACES = 128  # number of values at which resampled distributions are compared

Patches = NDArray[np.float32]  # (N, channels x side x side), channel first


def level_name(level: Tensor) -> str:
    """Name of a pyramid level by its height and width, such as `level_16x32`."""
    return f"level_{level.shape[-2]}x{level.shape[-1]}"


def draw_patches(
    levels: Sequence[Tensor], first_index: int, patches_per_image: int, seed: int
) -> dict[str, Patches]:
    """Cut patches of a batch at random positions of each level.

    Args:
        levels: A Laplacian pyramid, each (B, C, H, W).
        first_index: Index of the batch's first picture in its set. Patch positions depend on the
            picture's index, the level and the seed, not on the batch.
        patches_per_image: Number of patches of each picture and level, with replacement.
        seed: Seed of the positions.
    """
    patches_by_level = {}
    for depth, level in enumerate(levels):
        side = min(PATCH_SIDE_PX, *level.shape[-2:])
        windows = np.lib.stride_tricks.sliding_window_view(
            level.cpu().numpy(), (side, side), (2, 3)
        )
        patches = []
        for offset, picture in enumerate(windows):
            places = np.random.default_rng([seed, depth, first_index + offset])
            y = places.integers(picture.shape[1], size=patches_per_image)
            x = places.integers(picture.shape[2], size=patches_per_image)
            patches.append(picture[:, y, x].swapaxes(0, 1).reshape(patches_per_image, -1))
        patches_by_level[level_name(level)] = np.concatenate(patches)
    return patches_by_level


def sliced_wasserstein(
    patches: Patches, reference: Patches, num_projections: int, seed: int, num_channels: int = 3
) -> float:
    """Average the distance between projected patches over random directions.

    In units of the reference's standard deviation; 0 for equal sets. Sets may differ in size.

    Args:
        patches: Patches (N, D) of the judged set.
        reference: Patches (M, D) of real pictures.
        num_projections: Number of directions on the unit sphere.
        seed: Seed of the directions.
        num_channels: Number of channels in D, which is ordered by channel.
    """
    ours, theirs = _projected(patches, reference, num_projections, seed, num_channels)
    size = min(len(patches), len(reference))
    difference = _quantiles(np.sort(ours, axis=0), size) - _quantiles(np.sort(theirs, axis=0), size)
    return float(np.abs(difference).mean())


def resampled_sliced_wasserstein(
    patches: tuple[Patches, Patches],
    counts: tuple[Array, Array],
    patches_per_image: int,
    num_projections: int,
    seed: int,
) -> Array:
    """Compute the distances of resampled sets, (B,), for colour patches.

    The area between the two distributions is summed over `NUM_PLACES` values instead of all, which
    is accurate enough for the scatter of the distance.

    Args:
        patches: Patches of the judged set and of the reference, in the order of the pictures.
        counts: Multiplicity of each picture in each of B resamples, (B, pictures) for each set.
            Pictures without patches are ignored.
        patches_per_image: Number of consecutive patches of each picture.
        num_projections, seed: As for `sliced_wasserstein`.
    """
    both = _projected(*patches, num_projections, seed, num_channels=3)
    total = np.zeros(len(counts[0]))
    for direction in range(num_projections):
        values = [each[:, direction] for each in both]
        places = np.quantile(np.concatenate(values), np.linspace(0, 1, NUM_PLACES))
        ours, theirs = (
            _resampled_shares(*each, patches_per_image, places)
            for each in zip(values, counts, strict=True)
        )
        total += np.abs(ours - theirs)[:, :-1] @ np.diff(places)
    return total / num_projections


def distances_by_level(
    patches: Mapping[str, Patches],
    reference: Mapping[str, Patches],
    num_projections: int,
    seed: int,
) -> dict[str, float]:
    """Compute `sliced_wasserstein` of each level, fine to coarse."""
    return {
        name: sliced_wasserstein(patches[name], reference[name], num_projections, seed)
        for name in reference
    }


def _projected(
    patches: Patches, reference: Patches, num_projections: int, seed: int, num_channels: int
) -> tuple[Array, Array]:
    """Project both sets, normalised by the reference, to random directions: (patches,
    directions)."""
    by_channel = reference.reshape(len(reference), num_channels, -1).astype(np.float64)
    mean = by_channel.mean((0, 2))[:, None]
    deviation = by_channel.std((0, 2))[:, None].clip(min=1e-8)
    directions = np.random.default_rng([seed]).standard_normal((patches.shape[1], num_projections))
    directions /= np.linalg.norm(directions, axis=0)
    ours, theirs = (
        ((each.reshape(len(each), num_channels, -1) - mean) / deviation).reshape(len(each), -1)
        @ directions
        for each in (patches, reference)
    )
    return ours, theirs


def _resampled_shares(values: Array, counts: Array, per_picture: int, places: Array) -> Array:
    """Compute the share of each resample's patches at or below each place, (B, places)."""
    num_pictures = len(values) // per_picture
    picture = np.arange(len(values)) // per_picture
    first_place = np.searchsorted(places, values).clip(max=len(places) - 1)
    cells = np.bincount(picture * len(places) + first_place, minlength=num_pictures * len(places))
    counts_of_pictures = counts[:, :num_pictures]
    cumulative = (counts_of_pictures @ cells.reshape(num_pictures, -1)).cumsum(1)
    return np.asarray(cumulative / cumulative[:, -1:])


def _quantiles(values: Array, count: int) -> Array:
    """Return `count` evenly spaced quantiles of each sorted column."""
    ranks = ((np.arange(count) + 0.5) * len(values) / count).astype(np.int64)
    return values[ranks]
