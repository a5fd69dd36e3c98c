"""Fetching with img2dataset through the gateway, and what earlier runs fetched."""
