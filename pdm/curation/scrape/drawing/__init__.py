"""Procedural landscapes, drawn with numpy from a seed.

Colours are linear light, float32 planes of red, green and blue, until `finish` turns them into
bytes. The world is measured in kilometres: x to the right, z into the picture, height upwards; the
camera stands at x = z = 0.

A seed gives the same pixels on every machine and in any number of processes. Whatever touches a
pixel is arithmetic that IEEE 754 rounds in one way only: + - * /, square roots, minima and maxima,
whole numbers, table look-ups. What depends on the processor is left out: exponentials and the like
over arrays, sums of floats, and OpenCV on floats.

What changes slowly over the picture is worked out on every other row and column, in strips that fit
into the cache; the skyline, textures, stars and grain at full size.
"""
