"""Finds duplicates: small copies of pictures, their hashes, and the choice of the one to keep."""
