"""Shards of pictures and latents: how they are written, listed and read."""
