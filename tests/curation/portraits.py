"""Two real people, whose portraits (public domain: NASA, US Navy) lie in installed packages."""

import numpy as np
import skimage.data
from matplotlib import cbook
from PIL import Image


def portraits():
    """Head and shoulders of each, with the face's box (left, top, width, height) in it."""
    astronaut = Image.fromarray(skimage.data.astronaut())
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        admiral = Image.open(file).convert("RGB")
    return [
        (astronaut.crop((110, 0, 350, 260)), (71, 60, 90, 119)),
        (admiral.crop((60, 0, 460, 500)), (113, 114, 186, 226)),
    ]


def paste_person(picture, which, face_height, left, top, mirrored=False):
    """Put a person into the picture, face at (left, top); returns the face's box."""
    patch, box = portraits()[which]
    if mirrored:
        patch = patch.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        box = (patch.width - box[0] - box[2], *box[1:])
    scale = face_height / box[3]
    patch = patch.resize((round(patch.width * scale), round(patch.height * scale)))
    picture.paste(patch, (round(left - box[0] * scale), round(top - box[1] * scale)))
    return (left, top, round(box[2] * scale), face_height)


def meadow(width, height, seed=0):
    """Soft ground without anything that could be a face."""
    noise = np.random.default_rng(seed).normal(0, 6, (height // 8 + 1, width // 8 + 1, 3))
    noise += (90, 130, 80)
    small = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)
