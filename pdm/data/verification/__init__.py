"""Re-reads finished data and lists its damage."""
