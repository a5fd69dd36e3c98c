"""Writes, lists and reads shards of pictures and latents."""
