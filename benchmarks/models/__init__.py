"""Networks: speed, memory, operations and quality, against peers."""
