"""Converts any colour mode and ICC profile to 8-bit sRGB.

A profile's name is not trusted. Its transform is applied to sample colours once; if it changes none
of them, the profile is sRGB and is not applied to images, which keeps sRGB files fast.
"""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pdm.data.decoding import icc
from pdm.data.decoding.cicp import HDR_CURVES

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
# sRGB profiles differ by rounding. The nearest other curves (gamma 2.2, BT.709) differ by 7 levels
# and more.
MAX_ROUNDING = 2
_BROKEN = (ImageCms.PyCMSError, OSError, ValueError, TypeError)  # raised for broken profiles


def changes_pixels(profile: bytes | None, mode: str) -> bool:
    """Whether a profile is valid for pixels of a mode and is not sRGB."""
    return _fitting_transform(profile, _profiled_mode(profile, mode)) is not None


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert a loaded image of mode L, RGB or CMYK to mode RGB, sRGB.

    Args:
        profile: An ICC profile. A broken profile, or one for another colour space than the
            image's, is ignored. An RGB profile on a grey image applies to R = G = B.
    """
    mode = _profiled_mode(profile, image.mode)
    transform = _fitting_transform(profile, mode)
    if transform is not None:
        try:
            # `apply` is typed to return None in place; here it always returns an image.
            converted: Image.Image = transform.apply(
                image if image.mode == mode else image.convert(mode)
            )
            return converted
        except _BROKEN:
            pass  # the profile breaks only in use: ignored, as other broken ones
    return image.convert("RGB")


@lru_cache(maxsize=32)
def hdr_curve(profile: bytes) -> str | None:
    """The name of a profile's HDR transfer function; None if it is SDR or broken.

    Found by the profile's tag `cicp`, or by the curve that the profile gives for greys.
    """
    if (code := icc.transfer_code(profile)) in HDR_CURVES:
        return HDR_CURVES[code]
    transform = _fitting_transform(profile, "RGB")
    if transform is None:
        return None
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    found = _applied(transform, Image.fromarray(ramp))[0].astype(int)
    for code, light in ((16, _pq_light()), (18, _hlg_light())):
        expected = 255 * np.where(
            light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light
        )
        if np.abs(found - expected[:, None]).max() <= MAX_ROUNDING:
            return HDR_CURVES[code]
    return None


def _pq_light() -> NDArray[np.float64]:
    """PQ's light for each 8-bit value; 1 is 10,000 cd/m2 (ITU-R BT.2100, table 4)."""
    root = np.linspace(0, 1, 256) ** (32 / 2523)
    ratio = np.maximum(root - 3424 / 4096, 0) / (2413 / 128 - 2392 / 128 * root)
    light: NDArray[np.float64] = ratio ** (16384 / 2610)
    return light


def _hlg_light() -> NDArray[np.float64]:
    """HLG's scene light for each 8-bit value (ITU-R BT.2100, table 5)."""
    codes = np.linspace(0, 1, 256)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)


def _profiled_mode(profile: bytes | None, mode: str) -> str:
    """The mode in which an image is passed to a profile's transform."""
    return "RGB" if mode == "L" and profile and profile[16:20] == b"RGB " else mode


def _fitting_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        return _transform(profile, mode) if profile else None
    except _BROKEN:
        return None


@lru_cache(maxsize=32)  # a camera writes the same profile into every picture
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform to sRGB (relative colorimetric, BPC); None if it changes nothing."""
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    return None if mode != "CMYK" and _is_identity(transform, mode) else transform


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    sample = Image.fromarray(_ramp() if mode == "L" else _all_colours())
    before = np.asarray(sample.convert("RGB")).astype(int)
    return bool(np.abs(_applied(transform, sample) - before).max() <= MAX_ROUNDING)


def _ramp() -> NDArray[np.uint8]:
    return np.arange(256, dtype=np.uint8)[None]


@lru_cache(maxsize=1)
def _all_colours() -> NDArray[np.uint8]:
    """Every 15th level of each channel in all combinations, and all greys, as one row."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    lattice = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    greys = np.repeat(_ramp().T, 3, axis=1)
    return np.concatenate([lattice, greys])[None]


def _applied(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> NDArray[np.uint8]:
    converted: Image.Image = transform.apply(image)
    return np.asarray(converted)
