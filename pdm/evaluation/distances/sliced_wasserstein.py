"""Sliced Wasserstein distance between the patches of two sets of pictures, per Laplacian level.

After Karras et al., arXiv:1710.10196, section 5, with one change: both sets are normalised by the
reference's channel means and deviations, not each by its own. A set that is duller or tinted but
otherwise the same then scores worse, as it should.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pdm.evaluation.distances.moments import Array

PATCH_SIDE_PX = 7

# Patches of more pictures are not kept: 2^16 fill 38 MB a level and settle the distance.
MAX_PATCHES = 2**16

NUM_PLACES = 128  # values at which resampled distributions are compared

Patches = NDArray[np.float32]  # (N, channels x side x side), channel first


def level_name(level: Tensor) -> str:
    """Name of a pyramid level by its height and width, such as `level_16x32`."""
    return f"level_{level.shape[-2]}x{level.shape[-1]}"


def draw_patches(
    levels: Sequence[Tensor], first_index: int, patches_per_image: int, seed: int
) -> dict[str, Patches]:
    """Patches of a batch at random places of each level.

    Args:
        levels: A Laplacian pyramid, each (B, C, H, W).
        first_index: Position of the batch's first picture in its set. Places follow from the
            picture's position, the level and the seed, not from the batch.
        patches_per_image: Drawn from each picture and level, with replacement.
        seed: Of the places.
    """
    drawn = {}
    for depth, level in enumerate(levels):
        side = min(PATCH_SIDE_PX, *level.shape[-2:])
        windows = np.lib.stride_tricks.sliding_window_view(level.numpy(), (side, side), (2, 3))
        patches = []
        for offset, picture in enumerate(windows):
            places = np.random.default_rng([seed, depth, first_index + offset])
            y = places.integers(picture.shape[1], size=patches_per_image)
            x = places.integers(picture.shape[2], size=patches_per_image)
            patches.append(picture[:, y, x].swapaxes(0, 1).reshape(patches_per_image, -1))
        drawn[level_name(level)] = np.concatenate(patches)
    return drawn


def sliced_wasserstein(
    patches: Patches, reference: Patches, num_projections: int, seed: int, num_channels: int = 3
) -> float:
    """Mean over random directions of the distance between the projected patches.

    In units of the reference's standard deviation; 0 for equal sets. Sets may differ in size.

    Args:
        patches: (N, D), of the set that is judged.
        reference: (M, D), of real pictures.
        num_projections: Directions on the unit sphere.
        seed: Of the directions.
        num_channels: D is this many channels, one after the other.
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
    """The distance of resampled sets, (B,), for colour patches.

    The area between the two distributions is summed over `NUM_PLACES` values instead of all: close
    enough to tell how far the distance scatters.

    Args:
        patches: Of the judged set and of the reference, in the order of the pictures.
        counts: How often each picture is drawn in each of B resamples, (B, pictures) for each set.
            Pictures beyond those that have patches are left out.
        patches_per_image: Of each picture in turn.
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
    """`sliced_wasserstein` of each level, fine to coarse."""
    return {
        name: sliced_wasserstein(patches[name], reference[name], num_projections, seed)
        for name in reference
    }


def _projected(
    patches: Patches, reference: Patches, num_projections: int, seed: int, num_channels: int
) -> tuple[Array, Array]:
    """Both sets, normalised by the reference, along random directions: (patches, directions)."""
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
    """Share of each resample's patches at or below each place, (B, places)."""
    num_pictures = len(values) // per_picture
    picture = np.arange(len(values)) // per_picture
    first_place = np.searchsorted(places, values).clip(max=len(places) - 1)
    cells = np.bincount(picture * len(places) + first_place, minlength=num_pictures * len(places))
    drawn = counts[:, :num_pictures]
    cumulative = (drawn @ cells.reshape(num_pictures, -1)).cumsum(1)
    return np.asarray(cumulative / cumulative[:, -1:])


def _quantiles(values: Array, count: int) -> Array:
    """`count` evenly spaced ranks of each sorted column; all of them if there are as many."""
    ranks = ((np.arange(count) + 0.5) * len(values) / count).astype(np.int64)
    return values[ranks]
