"""Training losses of the autoencoder and of the denoising networks."""
