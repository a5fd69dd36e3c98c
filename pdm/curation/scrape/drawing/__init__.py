"""Procedural landscapes, drawn with numpy and OpenCV from a seed.

Colours are linear light, float32 RGB, until `finish` turns them into bytes. The world is measured
in kilometres: x to the right, z into the picture, height upwards; the camera stands at x = z = 0.
"""
