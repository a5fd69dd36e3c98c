"""Pillow, allowed to open the largest pictures of this project.

By default it warns at 89 megapixels, and fails at 179.
"""

from PIL import Image

from pdm.config.sampling.any_size import LARGEST_SIDE

__all__ = ["Image"]

Image.MAX_IMAGE_PIXELS = LARGEST_SIDE**2
