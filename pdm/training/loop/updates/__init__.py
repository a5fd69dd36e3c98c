"""How a step updates the weights and their EMAs, or skips the update."""
