"""Uses trained models: encodes shards into latents, and draws samples."""
