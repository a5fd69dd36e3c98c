"""The pictures that an evaluation compares, and whether they can be compared."""
