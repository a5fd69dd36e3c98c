"""Decoding, and whole pictures: sampling steps and decoding."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.parts.gpu.basics import relative_difference
from benchmarks.parts.gpu.clock import memory_note, peak_gib, reset_peak, seconds_of
from benchmarks.parts.gpu.rows import Row
from benchmarks.parts.gpu.sizes import Size, build_autoencoder, build_unet, level_shapes_of
from pdm.diffusion.samplers import euler, noise_from_seeds
from pdm.diffusion.sampling_times import even_times
from pdm.models.layers.spectral_norm import bake_spectral_norms

STEPS = (50, 4)
GOALS = {50: "below 1, goal 0.25", 4: ""}


@torch.no_grad()
def decoding(size: Size, device: torch.device) -> Iterator[Row]:
    """A picture decoded whole and by tiles, and how far both are apart."""
    autoencoder = bake_spectral_norms(build_autoencoder(size, device).eval())
    latents = tuple(one.to(device) for one in noise_from_seeds([0], level_shapes_of(size)))
    for tile_px in (None, size.tile_px):
        how = "whole" if tile_px is None else f"by tiles of {tile_px}"
        key = "decode_whole" if tile_px is None else "decode_tiles"
        yield from _timed(
            key,
            f"decode {size.side}, bfloat16, {how}",
            partial(autoencoder.decode, latents, size.picture, tile_px),
            size,
            device,
        )
    whole, tiles = (autoencoder.decode(latents, size.picture, px) for px in (None, size.tile_px))
    yield Row(
        "decode_tiles_difference",
        f"decode {size.side}, float32: by tiles against whole",
        relative_difference((whole,), (tiles,)),
        "of its RMS",
        "below 0.001",
    )


@torch.no_grad()
def pictures(size: Size, device: torch.device, compiled: bool) -> Iterator[Row]:
    """One picture from noise to pixels, by the number of Euler steps."""
    unet = bake_spectral_norms(build_unet(size, device).eval())
    autoencoder = bake_spectral_norms(build_autoencoder(size, device).eval())
    noise = tuple(one.to(device) for one in noise_from_seeds([0], level_shapes_of(size)))
    if compiled:
        unet.compile(mode="reduce-overhead" if device.type == "cuda" else None)
    way = "compiled" if compiled else "default"

    def draw(times: Tensor) -> Tensor:
        return autoencoder.decode(euler(unet, noise, times), size.picture)

    for steps in STEPS:
        yield from _timed(
            f"picture_{steps}_steps_{way}",
            f"one picture of {size.side}: {steps} steps and decoding, bfloat16, {way}",
            partial(draw, even_times(steps)),
            size,
            device,
            GOALS[steps],
        )


def _timed(
    key: str,
    what: str,
    work: Callable[[], Any],
    size: Size,
    device: torch.device,
    goal: str = "",
) -> Iterator[Row]:
    reset_peak(device)
    with torch.autocast(device.type, torch.bfloat16):
        seconds = seconds_of(work, device, size.repeats)
    yield Row(f"{key}_seconds", what, seconds, "s", goal)
    yield Row(
        f"{key}_peak_gib", f"{what}: peak memory", peak_gib(device), "GiB", note=memory_note(device)
    )
