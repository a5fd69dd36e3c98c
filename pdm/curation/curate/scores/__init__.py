"""Measures a picture: the scores that the rules compare with their limits."""
