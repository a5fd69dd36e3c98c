"""Chooses the part of a picture to use: trims borders, and places the crop on content or faces."""
