"""Pictures larger than trained: calls, time and memory of tiles, and their seams."""
