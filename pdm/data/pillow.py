"""Pillow, allowed to open the largest pictures of this project.

By default it warns at 89 megapixels, and fails at 179.
"""

import struct

from PIL import Image

from pdm.config.sampling.any_size import MAX_SIDE

__all__ = ["DECODING_ERRORS", "Image"]

# What Pillow raises on files that are damaged, cut short or not images; a RuntimeError for AVIF.
DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, RuntimeError, EOFError, struct.error),
    Image.DecompressionBombError,
)

Image.MAX_IMAGE_PIXELS = MAX_SIDE**2
