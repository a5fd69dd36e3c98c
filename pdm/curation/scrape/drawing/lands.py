"""Heights of each kind of land. All rise away from the camera, so that the view is open."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.noise import Field, fractal, ridged, smoothstep, warped


@dataclass(frozen=True, slots=True)
class Site:
    """What heights are made of: positions in km and noises, (size, size)."""

    x: Field
    z: Field
    patches: Field  # broad, standard deviation 1
    swells: Field  # soft, standard deviation 1
    crests: Field  # ridges, 0 to 1
    bend: Field  # km, how far a valley's middle lies to the right, by z
    random: np.random.Generator

    @property
    def size(self) -> int:
        """Cells a side."""
        return len(self.patches)


def heights(land: str, x: Field, z: Field, patches: Field, random: np.random.Generator) -> Field:
    """Heights in km of a land (one of `LANDS`), water being at 0."""
    size = len(patches)
    crests = warped(ridged(size, int(random.choice([4, 8])), 0.47, random), patches, size / 90)
    swells = fractal(size, 16, 0.42, random)
    amplitude, frequency = float(random.uniform(-0.5, 0.5)), float(random.uniform(0.4, 1.1))
    site = Site(x, z, patches, swells, crests, amplitude * np.sin(z * frequency), random)
    return LANDS[land](site)


def _alps(site: Site) -> Field:
    rise = smoothstep(1.5, float(site.random.uniform(6, 9)), site.z)
    meadow = 0.05 * (site.swells + 1) * smoothstep(0.2, 2, site.z)
    return np.asarray(0.02 + meadow + 1.9 * rise * site.crests)


def _lake(site: Site) -> Field:
    away = site.z + 0.5 * np.abs(site.x - 2.0 * site.bend) + 0.35 * site.patches
    shore = smoothstep(float(site.random.uniform(1.5, 3.5)), 8, away)
    return np.asarray(-0.05 + 0.02 * site.swells + shore * (0.12 + 1.8 * site.crests))


def _fjord(site: Site) -> Field:
    inner, outer = float(site.random.uniform(0.5, 1.0)), float(site.random.uniform(2.2, 3.5))
    walls = smoothstep(inner, outer, np.abs(site.x - 2.0 * site.bend))
    end = smoothstep(9, 13, site.z)
    return np.asarray(-0.06 + 0.15 * walls + (1.5 * walls + 0.6 * end) * site.crests)


def _hills(site: Site) -> Field:
    rolling = fractal(site.size, 8, 0.36, site.random) * (0.35 + smoothstep(0.5, 7, site.z))
    behind = smoothstep(8, 13, site.z) * site.crests
    return np.asarray(0.12 + 0.11 * rolling + 0.012 * site.swells + 0.5 * behind)


def _coast(site: Site) -> Field:
    side = float(site.random.choice([-1, 1]))
    inland = side * (site.x - site.bend) - 0.15 * site.z + 0.4 * site.patches
    land = smoothstep(-0.2, 2.6, inland)
    return np.asarray(-0.08 + land * (0.22 + 0.75 * site.crests + 0.03 * site.swells))


def _dunes(site: Site) -> Field:
    waves = warped(ridged(site.size, 16, 0.30, site.random), site.swells, site.size / 60)
    rise = 0.3 + smoothstep(0.3, 5, site.z)
    return np.asarray(0.03 + 0.30 * waves * rise + 0.02 * site.swells)


def _mesas(site: Site) -> Field:
    steps = fractal(site.size, 8, 0.5, site.random) + 0.9 * smoothstep(2, 9, site.z) - 0.4
    cliffs = 0.42 * smoothstep(0.35, 0.5, steps) + 0.40 * smoothstep(0.95, 1.08, steps)
    talus = 0.16 * smoothstep(-0.2, 0.4, steps)
    return np.asarray(0.03 + cliffs + talus + 0.02 * site.crests + 0.008 * site.swells)


LANDS: dict[str, Callable[[Site], Field]] = {
    "alps": _alps,
    "lake": _lake,
    "hills": _hills,
    "dunes": _dunes,
    "coast": _coast,
    "mesas": _mesas,
    "fjord": _fjord,
}
