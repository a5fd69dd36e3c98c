"""Commands that draw in a user's pictures, and their models."""
