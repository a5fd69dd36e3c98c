"""A landscape in layers on the coarse grid, before it is exposed and given its finest detail."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.air import sky, water
from pdm.curation.scrape.drawing.grid.fields import Field, Planes, Sampler, falloff, mix, smoothstep
from pdm.curation.scrape.drawing.grid.frame import Frame
from pdm.curation.scrape.drawing.grid.textures import Textures, deviation
from pdm.curation.scrape.drawing.land import terrain, view
from pdm.curation.scrape.drawing.scene import Scene

_STRIP = 32  # coarse rows


@dataclass(frozen=True, slots=True)
class Layers:
    """Linear light on the coarse grid. A pixel of the land is `land * (1 + detail)`."""

    skyline_px: Field  # (coarse columns,)
    sky: Planes  # coarse rows from 0
    clear: Field  # how much of the stars shows
    top: int  # coarse row of the following layers' first row
    land: Planes  # with the air before it
    nearness: Field  # 1 / distance in km
    grit: Field  # strength of the ground's fine texture
    wood: Field  # strength of the trees'
    reflected: Planes  # the whole picture above the horizon


def compose(
    scene: Scene,
    frame: Frame,
    size: int,
    textures: Textures,
    random: np.random.Generator,
    on_seen: Callable[[terrain.Terrain, view.View], None] = lambda land, seen: None,
) -> Layers:
    """Build the land of a scene, look at it, and paint what is seen.

    `on_seen` gets the land and the view of it, and must change neither.
    """
    land = terrain.build(scene, size, random)
    seen = view.project(scene, land, textures.crowns, frame)
    on_seen(land, seen)
    cloud_tiles = sky.clouds(scene, size, random)
    wave_height = float(random.uniform(0.25, 1.0)) + 0.8 * scene.rain
    layers = _empty(scene, frame, seen)
    right = frame.right()
    for rows in _strips(frame):
        _paint_sky(layers, scene, cloud_tiles, right, frame, rows)
        if rows.stop > seen.top:
            low = range(max(rows.start, seen.top), rows.stop)
            wet = _paint_land(layers, land, textures, seen, frame, low)
            _paint_water(layers, scene, frame, seen, textures, wave_height, wet, low)
            _cover_with_air(layers, scene, seen, frame, low)
        _reflect(layers, frame, rows)
    return layers


def _strips(frame: Frame) -> Iterator[range]:
    """Coarse rows in strips, none of which crosses the horizon: water mirrors what is above it."""
    first = 0
    while first < frame.num_rows:
        end = frame.below_horizon if first < frame.below_horizon else frame.num_rows
        last = min(first + _STRIP, end)
        yield range(first, last)
        first = last


def _empty(scene: Scene, frame: Frame, seen: view.View) -> Layers:
    # The sky is needed down to the lowest skyline, and down to the horizon for reflections.
    lowest = int(max(float(seen.skyline_px.max()), frame.horizon_px) / 2) + 2
    num_sky, num_land = min(frame.num_rows, lowest), frame.num_rows - seen.top

    def planes(rows: int) -> Planes:
        return np.empty((3, rows, frame.num_columns), np.float32)

    def field(rows: int) -> Field:
        return np.empty((rows, frame.num_columns), np.float32)

    return Layers(
        skyline_px=seen.skyline_px,
        sky=planes(num_sky),
        clear=field(num_sky),
        top=seen.top,
        land=planes(num_land),
        nearness=field(num_land),
        grit=field(num_land),
        wood=np.zeros((num_land, frame.num_columns), np.float32),
        reflected=planes(frame.below_horizon),
    )


def _paint_sky(
    layers: Layers, scene: Scene, tiles: sky.Clouds, right: Field, frame: Frame, rows: range
) -> None:
    last = min(rows.stop, layers.sky.shape[1])
    if rows.start < last:
        colour, clear = sky.draw(scene, tiles, right, frame.up(rows.start, last))
        layers.sky[:, rows.start : last] = colour
        layers.clear[rows.start : last] = clear


def _paint_land(
    layers: Layers,
    land: terrain.Terrain,
    textures: Textures,
    seen: view.View,
    frame: Frame,
    rows: range,
) -> Field | None:
    """Paint the ground, and return where it lies under water, if there is any."""
    own = slice(rows.start - layers.top, rows.stop - layers.top)
    distance = seen.distance_km(rows.start, rows.stop)
    x = distance * frame.right()
    size = len(land.height)
    cells = np.float32(size / terrain.WORLD_KM)
    at = Sampler(size, x * cells + np.float32(size / 2), distance * cells)
    shade = 1.0 + 0.16 * deviation(textures.soil.read(distance, frame.right()))
    if land.is_wooded:
        wood = at.read(land.forest) * smoothstep(0.2, 0.6, distance)
        shade -= 0.62 * wood
        layers.wood[own] = 1.1 * wood / np.clip(shade, 0.25, 2.0)
    shade = np.clip(shade, 0.25, 2.0)
    for plane, colour in zip(layers.land[:, own], land.colour, strict=True):
        plane[:] = at.read(colour) * shade
    nearness = 1.0 / distance
    layers.nearness[own] = nearness
    close = nearness / (nearness + np.float32(0.45))
    layers.grit[own] = 0.30 * close * close * close
    return smoothstep(-0.0006, 0.0006, -at.read(land.height)) if land.has_water else None


def _paint_water(
    layers: Layers,
    scene: Scene,
    frame: Frame,
    seen: view.View,
    textures: Textures,
    wave_height: float,
    wet: Field | None,
    rows: range,
) -> None:
    if rows.start < frame.below_horizon or wet is None or not wet.any():
        return
    own = slice(rows.start - layers.top, rows.stop - layers.top)
    colour = water.surface(
        scene, frame, layers.reflected, seen.camera_km, rows, textures, wave_height
    )
    layers.land[:, own] = mix(layers.land[:, own], colour, wet)
    layers.grit[own] *= 1.0 - 0.6 * wet
    layers.wood[own] *= 1.0 - wet


def _cover_with_air(
    layers: Layers, scene: Scene, seen: view.View, frame: Frame, rows: range
) -> None:
    """Haze with distance, and mist that lies in the valleys."""
    own = slice(rows.start - layers.top, rows.stop - layers.top)
    up = frame.up(rows.start, rows.stop)
    distance = 1.0 / layers.nearness[own]
    height = np.float32(seen.camera_km) + up * distance
    low = falloff(np.maximum(height, 0) * np.float32(1 / 0.12))
    density = np.float32(1 / scene.visibility_km) + np.float32(0.22 * scene.mist) * low
    clear = falloff(distance * density)
    land = layers.land[:, own]
    before = land[0] + land[1] + land[2]
    land[:] = mix(sky.haze(scene, frame.right(), up), land, clear)
    # Textures belong to the land's share of the light.
    share = before * clear / (land[0] + land[1] + land[2])
    layers.grit[own] *= share
    layers.wood[own] *= share


def _reflect(layers: Layers, frame: Frame, rows: range) -> None:
    """Put sky and land together, as water mirrors them."""
    last = min(rows.stop, layers.reflected.shape[1])
    first = rows.start
    if first >= last:
        return
    picture = layers.sky[:, first:last].copy()
    start = max(first, layers.top)
    if start < last:
        own = slice(start - layers.top, last - layers.top)
        pixel = 2.0 * np.arange(start, last, dtype=np.float32)[:, None]
        covered = np.clip(pixel + 1.0 - layers.skyline_px, 0, 1)
        lower = picture[:, start - first :]
        lower[:] = mix(lower, layers.land[:, own], covered)
    layers.reflected[:, first:last] = picture
