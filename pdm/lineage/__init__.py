"""Traces a sample back to its seed, models, runs, data and the licences of its sources."""
