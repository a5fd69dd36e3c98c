"""The colour space that a file states, in whatever way its format has for it.

    profile = stated_profile(image, content)  # ICC; None: it says nothing, or sRGB

Only what is stated counts, and it counts always: the first of PNG's cICP, iCCP, sRGB, and gAMA
with cHRM (PNG, third edition, 4.3); AVIF's ICC profile before its nclx box; else the ICC profile.
HDR is refused by name: its curves (PQ, HLG) hold more light than sRGB can show, and how that is
mapped to a display is a choice of the viewer, not a fact of the file. A JPEG with a gain map is an
SDR picture; the map beside it is not looked at.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from pdm.data.decoding import cicp, colour, icc, isobmff, png

# W3C note "Using the ITU BT.2100 PQ EOTF with the PNG format", before there was cICP.
_PQ_PROFILE_NAME = b"ITUR_2100_PQ_FULL"
_SRGB_GAMMA = 1 / 2.2  # which everybody writes for sRGB's curve
_MAX_GAMMA_ERROR = 0.05  # in which libpng sees no difference (PNG_GAMMA_THRESHOLD)


class HighDynamicRange(ValueError):
    """The picture is HDR. The text says by which curve."""


def stated_profile(image: Image.Image, content: bytes) -> bytes | None:
    """The ICC profile of an image's pixels, made from numbers where the file has none.

    Args:
        image: Opened from `content`.

    Raises:
        HighDynamicRange: The pixels are coded by PQ or HLG.
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
    """From the exponent in gAMA and the eight numbers in cHRM; None if they make no sense."""
    codes = np.linspace(0, 1, 256)
    curve = cicp.CURVES[cicp.SRGB](codes)
    if gamma is not None and abs(gamma / _SRGB_GAMMA - 1) > _MAX_GAMMA_ERROR:
        if gamma == 0:
            return None
        curve = codes ** (1 / gamma)
    primaries = np.array(cicp.PRIMARIES[cicp.BT_709])
    if chromaticities is not None:  # of white first; here it is last
        primaries = np.roll(np.array(chromaticities).reshape(4, 2), -1, axis=0)
    try:
        return icc.matrix_profile(primaries[:3], primaries[3], curve)
    except ValueError:
        return None
