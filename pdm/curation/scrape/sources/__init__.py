"""What the sources name: URL lists, folders and the built-in pictures."""
