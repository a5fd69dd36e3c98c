"""Pyramid Diffusion: from image URLs to a trained, measured and versioned 2K image generator."""

__version__ = "0.1.0"
