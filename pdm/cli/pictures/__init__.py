"""Commands that draw in a user's images, and their models."""
