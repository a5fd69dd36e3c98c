"""Trained models at work: encoding shards into latents, drawing samples."""
