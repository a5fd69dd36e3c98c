"""The kinds of sources: URL lists, folders and built-in pictures."""
