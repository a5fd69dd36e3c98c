"""Trains a small model of each task on built-in landscapes, and judges what it draws."""
