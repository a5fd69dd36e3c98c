"""Designs of networks that `quality.py` trains for the same time and compares."""
