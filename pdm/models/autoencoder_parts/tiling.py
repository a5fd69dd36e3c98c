"""Tiled encoding and decoding of large images, with the same result as for the whole image.

The coarse stages run on the whole image: their maps are small, and attention needs all of them. The
fine stages, which take nearly all memory, run on one region after the other. Each region has a
margin so wide that no value inside depends on where it was cut; the margin shrinks stage by stage
to what the next ones still need. At the image's edges a region ends as the image does. So nothing
is blended, there are no seams, and only the rounding of floats differs.

The network must use pixel norms (`norm: pixel`), not group norms, which take their statistics from
the whole map. Here is what `tiled_encoding` and `tiled_decoding` share: the check of that, and how
far the layers of both networks reach.
"""

from torch import nn

WHOLE_FROM = 16  # least downsampling of a whole map: at most a 256th of the pixels
HEAD_RADIUS = 1  # pixels that a 3x3 convolution reaches beyond its own
BLOCK_RADIUS = 2


def check_tiles(model: nn.Module, tile_px: int) -> None:
    """Check that the network can work in tiles of this size.

    Raises:
        ValueError: It has group norms, or `tile_px` is not a positive multiple of 64.
    """
    if tile_px < 1 or tile_px % 64:
        raise ValueError(f"tile_px is {tile_px}; give a positive multiple of 64")
    check_norms(model)


def check_norms(model: nn.Module) -> None:
    """Check that the network does the same to a part of an image as to the whole.

    Raises:
        ValueError: It has group norms, which depend on the whole map.
    """
    if any(isinstance(module, nn.GroupNorm) for module in model.modules()):
        raise ValueError(
            "this network normalises whole maps (autoencoder.model.norm: group), so it cannot work "
            "part by part; leave tile_px and crop_px out, or train one with norm: pixel"
        )
