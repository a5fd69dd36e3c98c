"""Samples during a training of the diffusion model: previews, sample grids and scores."""
