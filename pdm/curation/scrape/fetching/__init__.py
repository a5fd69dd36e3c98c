"""Fetches with img2dataset through the gateway, and caches the results between runs."""
