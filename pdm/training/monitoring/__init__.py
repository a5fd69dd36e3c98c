"""Reports of a training: meters, loss curves, model cards, its cost, and samples on the way."""
