"""Parts of the pyramid autoencoder: encoder, decoder, and both in tiles."""
