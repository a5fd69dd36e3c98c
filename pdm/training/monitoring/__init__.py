"""Reports of a training: meters, loss curves, sample grids, scores, the model card."""
