"""Loops, checkpoints and the launcher that carries them to one or many workers."""
