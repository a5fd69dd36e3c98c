"""The pyramid autoencoder: speed, memory and quality, against peers."""
