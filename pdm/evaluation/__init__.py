"""Scores of samples and reconstructions, each under a name that says what it measures."""
