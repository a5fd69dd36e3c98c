"""The training loop: the step, its data, the state that it moves on."""
