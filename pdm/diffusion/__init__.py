"""Flow matching, samplers and guidance on pyramids of latents. Imports torch only; no network."""
