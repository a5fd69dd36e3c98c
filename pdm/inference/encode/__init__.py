"""The stage `latents`: encodes the shards once, at the training size of the autoencoder."""

from pdm.inference.encode.stage import encode_shards

__all__ = ["encode_shards"]
