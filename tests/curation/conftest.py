"""Puts this folder on the path, with the helpers that the tests in the folders below share."""
