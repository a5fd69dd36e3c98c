"""A picture of five colours, and what they are in sRGB if its codes mean something else."""

import struct
import zlib

import numpy as np
from PIL import Image
from shared.colour_profiles import (
    light_in_srgb,
)
from shared.picture_files import encoded

from pdm.data.decoding.pixels import decode

COLOURS = [(128, 128, 128), (200, 100, 50), (30, 160, 90), (90, 60, 220), (250, 250, 250)]
CODES = np.linspace(0, 1, 1024)
# The inverse of what the standards say a camera does, written out: V -> L
KNEE = 0.018053968510807


def bt_709(code):
    power = ((code + 0.09929682680944) / 1.09929682680944) ** (1 / 0.45)
    return np.where(code < 4.5 * KNEE, code / 4.5, power)


def srgb(code):
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def pq(code):  # ST 2084, of 10,000 cd/m2
    root = code ** (4096 / 2523 / 128)
    return (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (16384 / 2610)


def hlg(code):
    power = (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(code <= 0.5, code**2 / 3, power)


def patches(kind="png", **options):
    row = np.array(COLOURS, np.uint8).repeat(8, axis=0)
    return encoded(Image.fromarray(np.stack([row] * 8)), kind, **options)


def colours_of(content):
    return decode(content)[4, 4::8].astype(float)


def light(curve):
    return [curve(np.array(one) / 255) for one in COLOURS]


def expected(primaries, curve):
    return np.array([light_in_srgb(one, primaries) for one in light(curve)])


def chunk_of_profile(profile, name=b"icc"):
    return (b"iCCP", name + b"\0\0" + zlib.compress(profile))


def with_nclx(content, primaries, transfer):
    """An AVIF with other numbers in its box."""
    place = content.index(b"colrnclx") + 8
    return content[:place] + struct.pack(">HH", primaries, transfer) + content[place + 4 :]
