"""Which networks are trained, and their sizes; names of the packaged ones."""
