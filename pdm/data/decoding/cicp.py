"""Colour spaces by code points (ITU-T H.273, CICP), which PNG and AVIF use instead of ICC profiles.

A transfer function here maps code values (0 to 1) to linear light (0 to 1). For BT.709 and its
relatives it is the inverse OETF, as in H.273, in ICC profiles of that name and in libjxl. (Skia
uses the display's gamma of 2.4, BT.1886, which is darker.)
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pdm.data.decoding.icc import Floats, matrix_profile

# Transfer functions of HDR, which go beyond the white of an SDR display.
HDR_CURVES = {16: "PQ, SMPTE ST 2084", 18: "HLG, ARIB STD-B67"}
BT_709, SRGB = 1, 13  # the primaries and the transfer function of sRGB: the default

_C, _D65, _E, _DCI = (0.310, 0.316), (0.3127, 0.3290), (1 / 3, 1 / 3), (0.314, 0.351)
# H.273, table 2: x and y of red, green, blue and white.
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),  # BT.709, sRGB
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),  # BT.470 M
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),  # BT.470 B and G
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),  # BT.601, 525 lines
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),  # SMPTE ST 240
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),  # film
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),  # BT.2020
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), _E),  # XYZ
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),  # DCI-P3
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),  # Display P3
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),  # EBU 3213
}


@dataclass(frozen=True, slots=True)
class CodePoints:
    """Code points of H.273; unknown and unspecified ones mean sRGB."""

    primaries: int
    transfer: int
    full_range: bool = True  # of the RGB values; otherwise black is 16 and white 235


@lru_cache(maxsize=32)
def profile_of(code_points: CodePoints) -> bytes:
    """The ICC profile of an SDR colour space, exact at all 8-bit values."""
    codes = np.linspace(0, 1, 256)
    if not code_points.full_range:
        codes = ((255 * codes - 16) / 219).clip(0, 1)
    curve = CURVES.get(code_points.transfer, CURVES[SRGB])(codes)
    *primaries, white = PRIMARIES.get(code_points.primaries, PRIMARIES[BT_709])
    return matrix_profile(np.array(primaries), np.array(white), curve)


def _gamma(exponent: float) -> Callable[[Floats], Floats]:
    return lambda codes: codes**exponent


def _piecewise(
    alpha: float, beta: float, slope: float, exponent: float
) -> Callable[[Floats], Floats]:
    """Linear up to the light `beta`, an offset power law above it."""

    def curve(codes: Floats) -> Floats:
        power = ((codes + alpha - 1) / alpha) ** exponent
        return np.where(codes < slope * beta, codes / slope, power)

    return curve


def _logarithmic(decades: float) -> Callable[[Floats], Floats]:
    return lambda codes: np.where(codes > 0, 10 ** (decades * (codes - 1)), 0.0)


_BT_709 = _piecewise(1.09929682680944, 0.018053968510807, 4.5, 1 / 0.45)
# H.273, table 3.
CURVES: dict[int, Callable[[Floats], Floats]] = {
    1: _BT_709,
    4: _gamma(2.2),
    5: _gamma(2.8),
    6: _BT_709,  # BT.601
    7: _piecewise(1.111572195921731, 0.022821585529445, 4.0, 1 / 0.45),  # SMPTE ST 240
    8: _gamma(1.0),
    9: _logarithmic(2.0),
    10: _logarithmic(2.5),
    11: _BT_709,  # xvYCC, within 0 and 1
    12: _BT_709,  # BT.1361, within 0 and 1
    13: _piecewise(1.055, 0.0031308, 12.92, 2.4),  # sRGB
    14: _BT_709,  # BT.2020
    15: _BT_709,
    17: lambda codes: 52.37 / 48 * codes**2.6,  # SMPTE ST 428
}
