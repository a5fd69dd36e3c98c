"""The stage `sample`: draws images from the trained models, each from its own seed."""

from pdm.inference.sample.stage import sample_images

__all__ = ["sample_images"]
