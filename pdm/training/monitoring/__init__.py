"""What a training reports: meters, curves, sample grids, scores, the model card."""
