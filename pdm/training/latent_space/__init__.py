"""What is measured of a trained autoencoder's latents, and set in it: predictions, statistics."""
