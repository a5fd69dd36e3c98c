"""Formats of images and latents on disk, and readers with a fixed order."""
