"""Compares runs side by side: settings, data, scores, curves, pictures and costs."""
