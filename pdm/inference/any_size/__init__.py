"""Pictures of any size: how they are planned, drawn in rounds, given their colours, and written.

`tiled` has what one round does, tile by tile; here is what makes an image of several.
"""
