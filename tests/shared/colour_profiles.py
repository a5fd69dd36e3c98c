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
BT_2020 = np.array(
    [[0.67348, 0.16567, 0.12504], [0.27903, 0.67534, 0.04563], [-0.00193, 0.02998, 0.79684]]
)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # parametric curve of type 3
ADOBE_CURVE = (563 / 256, 1.0, 0.0, 1.0, 0.0)
WHITE = (0.9642, 1.0, 0.8249)


def rgb_profile(
    primaries: np.ndarray,
    curve: tuple[float, ...] | np.ndarray,
    name: str = "test",
    more: dict[str, bytes] | None = None,
) -> bytes:
    """Of a matrix and one curve for all channels: the numbers of a formula, or a table of light."""
    if isinstance(curve, tuple):
        curve_tag = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(*curve)
    else:
        levels = np.rint(65535 * curve).astype(">u2").tobytes()
        curve_tag = b"curv" + bytes(4) + struct.pack(">I", len(curve)) + levels
    tags = {f"{channel}TRC": curve_tag for channel in "rgb"}
    tags |= {f"{c}XYZ": _xyz(*primaries[:, place]) for place, c in enumerate("rgb")}
    return _profile(b"RGB ", b"XYZ ", b"mntr", tags | (more or {}), name)


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
    return light_in_srgb(linear, primaries)


def light_in_srgb(linear, primaries):
    """The levels in sRGB, 0 to 255 in floating point, of linear light of some primaries."""
    found = (np.linalg.inv(SRGB) @ primaries @ linear).clip(0, 1)
    bright = 1.055 * found ** (1 / 2.4) - 0.055
    return 255 * np.where(found > 0.0031308, bright, 12.92 * found)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(65536 * value) for value in values))


def _xyz(*values: float) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _profile(
    space: bytes, connection: bytes, kind: bytes, tags: dict[str, bytes], name: str = "test"
) -> bytes:
    text = name.encode() + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67)
    tags = {"desc": description, "wtpt": _xyz(*WHITE)} | tags
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag.encode(), start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"lcms", 0x02100000, kind, space, connection
    )
    head = (head + bytes(12) + b"acsp" + bytes(28) + _fixed(*WHITE)).ljust(128, b"\0")
    return head + struct.pack(">I", len(tags)) + table + body
