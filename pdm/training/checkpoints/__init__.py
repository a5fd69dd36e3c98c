"""What a training run leaves on the disk: checkpoints, events, pictures."""
