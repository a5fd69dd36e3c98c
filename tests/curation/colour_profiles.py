"""ICC profiles, made from the numbers that define the colour spaces."""

import struct

import numpy as np

# Red, green and blue as columns of XYZ, adapted to D50 (Bradford), as profiles hold them.
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.7141]]
)
DISPLAY_P3 = np.array(
    [[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
)
ADOBE_RGB = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # parametric curve of type 3
ADOBE_CURVE = (563 / 256, 1.0, 0.0, 1.0, 0.0)
WHITE = (0.9642, 1.0, 0.8249)


def rgb_profile(primaries: np.ndarray, curve: tuple[float, ...]) -> bytes:
    """Of a matrix and one curve for all three channels."""
    curve_tag = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(*curve)
    tags = {f"{name}TRC": curve_tag for name in "rgb"}
    tags |= {f"{name}XYZ": _xyz(*primaries[:, place]) for place, name in enumerate("rgb")}
    return _profile(b"RGB ", b"XYZ ", b"mntr", tags)


def grey_profile(gamma: float) -> bytes:
    """One channel, a power of which is light."""
    curve = b"para" + bytes(4) + struct.pack(">HH", 0, 0) + _fixed(gamma)
    return _profile(b"GRAY", b"XYZ ", b"mntr", {"kTRC": curve})


def cmyk_profile(lightness: float) -> bytes:
    """Every ink is grey of this lightness (of 100): nobody's press, but it shows when applied."""
    ramp = bytes(range(256))
    table = bytes([round(lightness * 2.55), 128, 128]) * 16
    matrix = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + table + ramp * 3
    return _profile(b"CMYK", b"Lab ", b"prtr", {"A2B0": lut})


def in_srgb(colour, primaries, curve):
    """What a colour of a matrix profile is in sRGB, in floating point."""
    gamma, a, b, c, start = curve
    encoded = np.asarray(colour) / 255
    linear = np.where(encoded >= start, (a * encoded + b) ** gamma, c * encoded)
    found = (np.linalg.inv(SRGB) @ primaries @ linear).clip(0, 1)
    bright = 1.055 * found ** (1 / 2.4) - 0.055
    return 255 * np.where(found > 0.0031308, bright, 12.92 * found)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(65536 * value) for value in values))


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _profile(space: bytes, connection: bytes, kind: bytes, tags: dict[str, bytes]) -> bytes:
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(8 + 3 + 67)
    tags = {"desc": name, "wtpt": _xyz(*WHITE)} | tags
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag.encode(), start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"lcms", 0x02100000, kind, space, connection
    )
    head = (head + bytes(12) + b"acsp" + bytes(28) + _fixed(*WHITE)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body
