"""Texts as tokens: word pieces, frozen encoders, and a cache of their states."""
