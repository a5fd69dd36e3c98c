"""How images and latents lie on disk, and how they are read back in a fixed order."""
