"""Runs side by side: what differs in settings and data, scores, curves, pictures and costs."""
