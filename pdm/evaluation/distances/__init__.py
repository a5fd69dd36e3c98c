"""Distances between sets of feature vectors, with bootstrap intervals."""
