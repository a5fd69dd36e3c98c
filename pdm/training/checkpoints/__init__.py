"""Files of a training run: checkpoints, events, pictures."""
