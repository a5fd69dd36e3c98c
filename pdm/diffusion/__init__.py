"""Flows and samplers on pyramids of latents. They import torch only and know no network."""
