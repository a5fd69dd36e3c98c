"""The device's ceilings, and what bfloat16 does to the networks' outputs."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from benchmarks.parts.gpu.clock import MIB, seconds_of
from benchmarks.parts.gpu.rows import Row
from benchmarks.parts.gpu.sizes import Size, build_autoencoder, build_unet, level_shapes_of
from pdm.diffusion.samplers import euler, noise_from_seeds
from pdm.diffusion.sampling_times import even_times
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.models.levels.pyramid import Pyramid

MAX_DIFFERENCE = 0.02  # of one output; products of bfloat16 are off by 2^-9 = 0.002 each
STEPS = 10  # of the sampling that is compared


def ceilings(size: Size, device: torch.device) -> Iterator[Row]:
    """Rates of a large matrix product and of a copy."""
    side, repeats = size.matrix_side, 2 * size.repeats
    for dtype in (torch.bfloat16, torch.float32):
        one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        seconds = seconds_of(partial(torch.matmul, one, other), device, repeats)
        name = str(dtype).removeprefix("torch.")
        yield Row(
            f"matrix_{name}_tflops",
            f"product of matrices of {side}x{side}, {name}",
            2 * side**3 / seconds / 1e12,
            "TFLOP/s",
        )
    source = torch.empty(size.copy_mib * MIB, dtype=torch.uint8, device=device).fill_(1)
    target = torch.empty_like(source)
    seconds = seconds_of(lambda: target.copy_(source), device, repeats)
    yield Row(
        "copy_gb_per_second",
        f"copy of {size.copy_mib} MiB on the device",
        2 * source.numel() / seconds / 1e9,
        "GB/s",
        note="read and written bytes together",
    )


@torch.no_grad()
def precision(size: Size, device: torch.device) -> Iterator[Row]:
    """Outputs in bfloat16 against float32, as a share of the root mean square."""
    _forbid_tf32()
    unet = bake_spectral_norms(build_unet(size, device).eval())
    noise = _noise(size, device)
    half = torch.full((1,), 0.5, device=device)
    yield _difference(
        "unet_bfloat16", "velocity of the UNet", lambda: unet(noise, half), device, MAX_DIFFERENCE
    )
    times = even_times(STEPS)
    drawn = euler(unet, noise, times)
    yield _difference(
        "sampling_bfloat16",
        f"latents after {STEPS} Euler steps",
        lambda: euler(unet, noise, times),
        device,
    )
    model = build_autoencoder(size, device).eval()
    height = min(size.picture[0], 512)  # whole pictures in float32 would take minutes on a CPU
    images = torch.rand(1, 3, height, height * size.picture[1] // size.picture[0], device=device)
    yield _difference(
        "encode_bfloat16", "latents of the autoencoder", lambda: model.encode(images), device
    )
    latents = tuple(level.clamp(-4, 4) for level in model.encode(images))
    yield _difference(
        "decode_bfloat16",
        "picture that the autoencoder decodes",
        lambda: (model.decode(latents),),
        device,
        MAX_DIFFERENCE,
    )
    finite = all(bool(level.isfinite().all()) for level in drawn)
    yield Row("sampling_is_finite", "latents drawn in float32 are finite", float(finite))


def relative_difference(one: Pyramid, other: Pyramid) -> float:
    """Root mean square of the difference over that of the first."""
    pairs = list(zip(one, other, strict=True))
    error = sum(float((a.double() - b.double()).square().sum()) for a, b in pairs)
    whole = sum(float(a.double().square().sum()) for a in one)
    return math.sqrt(error / whole)


def _difference(
    key: str, what: str, run: Callable[[], Pyramid], device: torch.device, goal: float | None = None
) -> Row:
    reference = run()
    with torch.autocast(device.type, torch.bfloat16):
        found = run()
    return Row(
        key,
        f"{what}: bfloat16 against float32",
        relative_difference(reference, found),
        "of its RMS",
        f"below {goal}" if goal else "",
        "random weights",
    )


def _noise(size: Size, device: torch.device) -> tuple[Tensor, ...]:
    return tuple(level.to(device) for level in noise_from_seeds([0], level_shapes_of(size)))


def _forbid_tf32() -> None:
    """The reference is float32 throughout."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
