"""Scores of samples and reconstructions."""
