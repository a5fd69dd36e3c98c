"""Reads URL lists of any size from untrusted authors."""
