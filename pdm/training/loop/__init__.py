"""The training loop: its steps, data and state."""
