"""Reads PNG chunks that Pillow does not expose."""

from dataclasses import dataclass

from pdm.data.decoding.cicp import CodePoints

GREY_WITH_ALPHA = 4  # a colour type
_SIGNATURE_BYTES = 8


@dataclass(frozen=True, slots=True)
class PngFacts:
    """How the samples of a PNG are stored, and their colour space."""

    bit_depth: int  # of a sample: 1, 2, 4, 8 or 16
    colour_type: int  # 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGBA
    code_points: CodePoints | None  # of the chunk cICP
    profile_name: bytes  # of the chunk iCCP; empty without one


def read_facts(content: bytes) -> PngFacts:
    """Read the chunks before the pixels; a malformed chunk counts as absent."""
    code_points, profile_name = None, b""
    position = _SIGNATURE_BYTES
    while position < len(content):
        length = int.from_bytes(content[position : position + 4])
        kind = content[position + 4 : position + 8]
        body = content[position + 8 : position + 8 + min(length, 80)]
        if kind == b"IDAT":
            break
        if kind == b"cICP" and length == len(body) == 4:
            primaries, transfer, matrix, full_range = body
            if matrix == 0:  # the samples of a PNG are RGB; other values are not allowed
                code_points = CodePoints(primaries, transfer, full_range=full_range != 0)
        elif kind == b"iCCP":
            profile_name = body.split(b"\0")[0]
        position += 12 + length
    return PngFacts(content[24], content[25], code_points, profile_name)
