"""What a training takes: operations, memory, and the share of the device that it uses."""
