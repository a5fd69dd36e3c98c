"""URL lists, of any size, from anyone: reading their files, and the entries that they name."""
