"""Reads the colour space that a file states, in whatever way its format does so.

    profile = stated_profile(image, content)  # ICC; None if the file says nothing, or sRGB

PNG: the first of cICP, iCCP, sRGB, and gAMA with cHRM (PNG third edition, 4.3). AVIF: the ICC
profile, else the nclx box. Other formats: the ICC profile.

HDR (PQ, HLG) raises an error: its values exceed the range of sRGB, and tone mapping depends on the
display and on taste. A JPEG with a gain map is decoded as the SDR image that it stores.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from pdm.data.decoding import cicp, colour, icc, isobmff, png

# How PQ was marked before cICP: W3C note "Using the ITU BT.2100 PQ EOTF with the PNG Format".
_PQ_PROFILE_NAME = b"ITUR_2100_PQ_FULL"
_SRGB_GAMMA = 1 / 2.2  # what encoders write in gAMA for the sRGB curve
_MAX_GAMMA_ERROR = 0.05  # relative; libpng ignores smaller ones (PNG_GAMMA_THRESHOLD)


class HighDynamicRange(ValueError):
    """The image is HDR. The text names the transfer function."""


def stated_profile(image: Image.Image, content: bytes) -> bytes | None:
    """The ICC profile of an image: embedded, or made from the numbers that the file states.

    Args:
        image: Opened from `content`; need not be loaded.

    Raises:
        HighDynamicRange: The pixels are PQ or HLG.
    """
    embedded: bytes | None = image.info.get("icc_profile")
    if image.format == "PNG":
        facts = png.read_facts(content)
        if facts.code_points:
            return _sdr_profile(facts.code_points)
        if facts.profile_name == _PQ_PROFILE_NAME:
            raise HighDynamicRange(cicp.HDR_CURVES[16])
        profile = embedded or _profile_of_gamma(image.info)
    elif image.format == "AVIF" and (code_points := isobmff.read_code_points(content)):
        from_numbers = _sdr_profile(code_points)
        profile = embedded or from_numbers
    else:
        profile = embedded
    if profile and (curve := colour.hdr_curve(profile)):
        raise HighDynamicRange(curve)
    return profile


def _sdr_profile(code_points: cicp.CodePoints) -> bytes:
    if curve := cicp.HDR_CURVES.get(code_points.transfer):
        raise HighDynamicRange(curve)
    return cicp.profile_of(code_points)


def _profile_of_gamma(info: dict[str | tuple[int, int], Any]) -> bytes | None:
    gamma, chromaticities = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or (gamma is None and chromaticities is None):
        return None
    return _matrix_profile(gamma, chromaticities)


@lru_cache(maxsize=32)
def _matrix_profile(gamma: float | None, chromaticities: tuple[float, ...] | None) -> bytes | None:
    """A profile from gAMA and the eight numbers of cHRM; None if they are invalid."""
    codes = np.linspace(0, 1, 256)
    curve = cicp.CURVES[cicp.SRGB](codes)
    if gamma is not None and abs(gamma / _SRGB_GAMMA - 1) > _MAX_GAMMA_ERROR:
        if gamma == 0:
            return None
        curve = codes ** (1 / gamma)
    primaries = np.array(cicp.PRIMARIES[cicp.BT_709])
    if chromaticities is not None:  # cHRM has white first, PRIMARIES last
        primaries = np.roll(np.array(chromaticities).reshape(4, 2), -1, axis=0)
    try:
        return icc.matrix_profile(primaries[:3], primaries[3], curve)
    except ValueError:
        return None
