"""What both networks are made of: blocks, attention, norms, spectral norm, LoRA."""
