"""Writes matrix profiles (ICC.1:2010) and reads tags that Pillow does not expose."""

import struct

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

D50 = np.array([0.9642, 1.0, 0.8249])  # to which profiles are adapted
# ICC.1:2010, annex E
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_HEADER_BYTES = 128


def matrix_profile(chromaticities: Floats, white: Floats, curve: Floats) -> bytes:
    """An RGB profile from three primaries, a white point and one tone curve.

    Args:
        chromaticities: (3, 2), x and y of red, green and blue.
        white: (2,), x and y of the white point.
        curve: (N,), linear light (0 to 1) for code values spaced evenly from 0 to 1.

    Raises:
        ValueError: The primaries lie on one line, or a value is not finite.
    """
    columns = _to_d50(chromaticities, white)
    if not np.isfinite(columns).all() or np.abs(columns).max() >= 2**15:
        raise ValueError(f"primaries out of range: {chromaticities.tolist()}")
    levels = np.rint(65535 * curve.clip(0, 1)).astype(">u2")
    curve_tag = b"curv" + bytes(4) + struct.pack(">I", len(levels)) + levels.tobytes()
    tags = {b"wtpt": _xyz(D50), b"desc": _text("from numbers"), b"cprt": b"text" + bytes(5)}
    tags |= {
        name + b"XYZ": _xyz(columns[:, place]) for place, name in enumerate((b"r", b"g", b"b"))
    }
    tags |= {name + b"TRC": curve_tag for name in (b"r", b"g", b"b")}
    return _joined(tags)


def transfer_code(profile: bytes) -> int | None:
    """The transfer characteristics (ITU-T H.273) of the tag `cicp`, None without one.

    See ICC.1:2022, 9.2.17.
    """
    num_tags = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + 4])
    for place in range(min(num_tags, len(profile) // 12)):
        entry = profile[_HEADER_BYTES + 4 + 12 * place :][:12]
        if entry[:4] == b"cicp":
            start = int.from_bytes(entry[4:8])
            return profile[start + 9] if len(profile) > start + 9 else None
    return None


def _to_d50(chromaticities: Floats, white: Floats) -> Floats:
    """XYZ of the primaries as columns, adapted to D50 (Bradford)."""
    if white[1] <= 0:
        raise ValueError(f"white point out of range: {white.tolist()}")
    primaries = np.column_stack([chromaticities, 1 - chromaticities.sum(axis=1)]).T
    white_xyz = np.array([white[0], white[1], 1 - white.sum()]) / white[1]
    try:
        scale = np.linalg.solve(primaries, white_xyz)
    except np.linalg.LinAlgError as error:
        raise ValueError(f"primaries on one line: {chromaticities.tolist()}") from error
    gains = (BRADFORD @ D50) / (BRADFORD @ white_xyz)
    adaptation = np.linalg.inv(BRADFORD) @ np.diag(gains) @ BRADFORD
    adapted: Floats = adaptation @ (primaries * scale)
    return adapted


def _xyz(values: Floats) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: Floats) -> bytes:
    return b"".join(struct.pack(">i", round(65536 * float(value))) for value in values)


def _text(text: str) -> bytes:
    coded = text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(coded)) + coded + bytes(8 + 3 + 67)


def _joined(tags: dict[bytes, bytes]) -> bytes:
    table, body = struct.pack(">I", len(tags)), b""
    start = _HEADER_BYTES + 4 + 12 * len(tags)
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s", start + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + _fixed(D50)
    return head.ljust(_HEADER_BYTES, b"\0") + table + body
