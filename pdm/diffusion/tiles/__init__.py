"""Sampling of images larger than the trained size, tile by tile, in the memory of a few tiles."""
