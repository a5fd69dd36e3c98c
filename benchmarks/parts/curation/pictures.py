"""Pictures to measure with, drawn by the project's own generator, and raw folders of them."""

import dataclasses
import io
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.shared.checkout import ROOT
from pdm import params
from pdm.config.stages.curate import CurateConfig
from pdm.config.stages.scrape import FolderSource
from pdm.curation.scrape.drawing.landscapes import draw
from pdm.curation.scrape.sources.flawed import encode_jpeg
from pdm.curation.scrape.stage import scrape
from pdm.data.pixels import Pixels

SEED = 20
MIN_REDUCTION = 1.6  # of a small picture from its scene, so that it is sharp
SETTINGS = params.load(ROOT / "params.yaml")


def camera_pictures(width_px: int, height_px: int) -> dict[str, bytes]:
    """Ten JPEGs of quality 90 as from a camera, by name; three of them are to be kept.

    The others are what a list of URLs holds: held upright, out of focus, enlarged four times before
    they came to us, and under-exposed.
    """
    scenes = [draw(SEED, index, width_px, height_px) for index in range(5)]
    small = [draw(SEED, index, width_px // 4, height_px // 4) for index in (5, 6)]
    blurred = [cv2.GaussianBlur(scene, (0, 0), width_px / 300) for scene in scenes[3:]]
    pictures: dict[str, Pixels] = {f"good-{number}": scenes[number] for number in range(3)}
    for number in range(2):
        pictures[f"upright-{number}"] = np.ascontiguousarray(np.rot90(scenes[3 + number]))
        pictures[f"blurred-{number}"] = np.asarray(blurred[number])
        pictures[f"enlarged-{number}"] = _enlarged(small[number], width_px, height_px)
    pictures["dark"] = np.asarray(cv2.convertScaleAbs(scenes[3], alpha=0.08))
    return {name: encode_jpeg(picture, quality=90) for name, picture in pictures.items()}


def _enlarged(picture: Pixels, width_px: int, height_px: int) -> Pixels:
    size = (width_px, height_px)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LANCZOS4))


def raw_folder(folder: Path, pictures: Mapping[str, bytes]) -> Path:
    """A folder as the stage `scrape` leaves it."""
    source = folder / "pictures"
    source.mkdir(parents=True)
    for name, content in pictures.items():
        (source / f"{name}.jpg").write_bytes(content)
    kinds = (FolderSource(kind="folder", path=str(source), licence="CC0-1.0"),)
    scrape(dataclasses.replace(SETTINGS.scrape, sources=kinds), raw=folder / "raw")
    return folder / "raw"


def small_pictures(num_pictures: int, width_px: int, height_px: int) -> dict[str, bytes]:
    """Different parts of one landscape of 12 megapixels as JPEGs, by name."""
    random = np.random.default_rng(SEED)
    scene = Image.fromarray(draw(SEED, 0, 4000, 3000))
    largest = min(scene.width / width_px, scene.height / height_px)
    found = {}
    for number in range(num_pictures):
        zoom, *shares = random.random(3)
        times = MIN_REDUCTION + zoom * (largest - MIN_REDUCTION)
        across, down = round(times * width_px), round(times * height_px)
        left, top = int(shares[0] * (scene.width - across)), int(shares[1] * (scene.height - down))
        size, window = (width_px, height_px), (left, top, left + across, top + down)
        buffer = io.BytesIO()
        scene.resize(size, Image.Resampling.BOX, window).save(buffer, "jpeg", quality=90)
        found[f"{number:06}"] = buffer.getvalue()
    return found


def crops_of(width_px: int, height_px: int) -> CurateConfig:
    """The limits of params.yaml for another size of the finished crop."""
    return dataclasses.replace(SETTINGS.curate, width_px=width_px, height_px=height_px)
