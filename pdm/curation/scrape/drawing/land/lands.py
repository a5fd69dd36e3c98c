"""Heights of each kind of land. All rise away from the camera, so that the view is open."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.grid.fields import Field, sine, smoothstep
from pdm.curation.scrape.drawing.grid.noise import fractal, refined, ridged, warped


@dataclass(frozen=True, slots=True)
class Site:
    """What heights are made of: positions in km, (1, size) and (size, 1), and noises."""

    x: Field
    z: Field
    patches: Field  # (size, size), broad, standard deviation 1
    swells: Field  # soft, standard deviation 1
    crests: Field  # ridges, 0 to 1
    bend: Field  # km, (size, 1), how far a valley's middle lies to the right
    random: np.random.Generator

    @property
    def size(self) -> int:
        """Cells a side."""
        return len(self.patches)


def heights(land: str, x: Field, z: Field, patches: Field, random: np.random.Generator) -> Field:
    """Heights in km of a land (one of `LANDS`), water being at 0."""
    size = len(patches)
    coarse = ridged(size // 2, int(random.choice([4, 8])), 0.47, random)
    bent = warped(coarse, np.ascontiguousarray(patches[::2, ::2]), size / 180)
    crests = refined(bent, random)
    swells = fractal(size, 16, 0.42, random)
    amplitude, frequency = float(random.uniform(-0.5, 0.5)), float(random.uniform(0.06, 0.18))
    site = Site(x, z, patches, swells, crests, amplitude * sine(z * frequency), random)
    return LANDS[land](site)


def _mountains(site: Site) -> Field:
    rise = smoothstep(1.5, float(site.random.uniform(6, 9)), site.z)
    meadow = (site.swells + 1) * (0.05 * smoothstep(0.2, 2, site.z))
    return 0.02 + meadow + site.crests * (1.9 * rise)


def _lake(site: Site) -> Field:
    away = 0.35 * site.patches + (site.z + 0.5 * np.abs(site.x - 2.0 * site.bend))
    shore = smoothstep(float(site.random.uniform(1.5, 3.5)), 8, away)
    return -0.05 + 0.02 * site.swells + shore * (0.12 + 1.8 * site.crests)


def _fjord(site: Site) -> Field:
    inner, outer = float(site.random.uniform(0.5, 1.0)), float(site.random.uniform(2.2, 3.5))
    walls = smoothstep(inner, outer, np.abs(site.x - 2.0 * site.bend))
    end = smoothstep(9, 13, site.z)
    return -0.06 + 0.15 * walls + (1.5 * walls + 0.6 * end) * site.crests


def _hills(site: Site) -> Field:
    rolling = _rolling(site) * (0.35 + smoothstep(0.5, 7, site.z))
    behind = smoothstep(8, 13, site.z) * site.crests
    return 0.12 + 0.11 * rolling + 0.012 * site.swells + 0.5 * behind


def _coast(site: Site) -> Field:
    side = float(site.random.choice([-1, 1]))
    inland = 0.4 * site.patches + (side * (site.x - site.bend) - 0.15 * site.z)
    land = smoothstep(-0.2, 2.6, inland)
    return -0.08 + land * (0.22 + 0.75 * site.crests + 0.03 * site.swells)


def _dunes(site: Site) -> Field:
    coarse = ridged(site.size // 2, 16, 0.22, site.random)
    bent = warped(coarse, np.ascontiguousarray(site.swells[::2, ::2]), site.size / 100)
    rise = 0.3 + smoothstep(0.3, 5, site.z)
    return 0.03 + refined(bent, site.random) * (0.45 * rise) + 0.02 * site.swells


def _mesas(site: Site) -> Field:
    steps = fractal(site.size, 8, 0.5, site.random) + (0.9 * smoothstep(2, 9, site.z) - 0.4)
    cliffs = 0.42 * smoothstep(0.35, 0.5, steps) + 0.40 * smoothstep(0.95, 1.08, steps)
    talus = 0.16 * smoothstep(-0.2, 0.4, steps)
    return 0.03 + cliffs + talus + 0.02 * site.crests + 0.008 * site.swells


def _forest(site: Site) -> Field:
    rolling = _rolling(site) * (0.5 + smoothstep(0.3, 4, site.z))
    behind = smoothstep(5, 12, site.z) * site.crests
    return 0.16 + 0.10 * rolling + 0.012 * site.swells + 0.45 * behind


def _plains(site: Site) -> Field:
    far = smoothstep(7, 14, site.z) * (0.25 + site.crests)
    return (
        0.03
        + 0.010 * site.patches
        + 0.004 * site.swells
        + float(site.random.uniform(0.0, 0.25)) * far
    )


def _islands(site: Site) -> Field:
    land = smoothstep(0.35, 2.0, site.patches + 0.2 * site.swells)
    land *= smoothstep(0.7, 2.2, site.z)
    return -0.05 + land * (0.12 + 0.9 * site.crests)


def _snow(site: Site) -> Field:
    drifts = _rolling(site) * (0.4 + smoothstep(0.5, 6, site.z))
    behind = smoothstep(4, 11, site.z) * site.crests
    return (
        0.10 + 0.06 * drifts + 0.010 * site.swells + float(site.random.uniform(0.2, 1.2)) * behind
    )


def _volcano(site: Site) -> Field:
    across, away = float(site.random.uniform(-2, 2)), float(site.random.uniform(6.5, 9))
    distance = np.sqrt(np.square(site.x - across) + np.square(site.z - away))
    distance = distance + 0.12 * site.patches
    slope = np.maximum(1.0 - distance * np.float32(1 / 5.5), 0.0)
    cone = 2.6 * slope * slope * (1.0 - 0.22 * site.crests)
    crater = np.minimum(cone, 1.9 - 0.8 * smoothstep(0.0, 0.6, 0.6 - distance))
    plain = 0.05 + 0.03 * site.patches + 0.012 * site.swells
    return np.asarray(plain + np.maximum(crater, 0.0))


def _river(site: Site) -> Field:
    meander = 0.35 * sine(site.z * float(site.random.uniform(0.35, 0.6))) + 2.0 * site.bend
    aside = np.abs(site.x - meander)
    bank = smoothstep(0.05, 0.18, aside + 0.03 * site.patches)
    walls = smoothstep(0.8, 3.5, aside)
    return -0.03 + bank * (0.05 + 0.008 * (site.swells + 1)) + walls * (0.1 + 0.9 * site.crests)


def _rolling(site: Site) -> Field:
    return fractal(site.size, 8, 0.36, site.random)


LANDS: dict[str, Callable[[Site], Field]] = {
    "mountains": _mountains,
    "lake": _lake,
    "hills": _hills,
    "dunes": _dunes,
    "coast": _coast,
    "mesas": _mesas,
    "fjord": _fjord,
    "forest": _forest,
    "plains": _plains,
    "islands": _islands,
    "snow": _snow,
    "volcano": _volcano,
    "river": _river,
}
