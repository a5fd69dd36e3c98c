"""What a landscape shows: land, hour, season, weather. All chosen from the seed before drawing."""

from dataclasses import dataclass

import numpy as np

from pdm.curation.scrape.drawing.grid.fields import Colour, direction, rounded

LANDS = {  # the kinds of landscapes, which are the classes of the pictures; see `lands`
    "mountains": "mountains",
    "lake": "a mountain lake",
    "hills": "green hills",
    "dunes": "desert dunes",
    "coast": "a rocky coast",
    "mesas": "red mesas",
    "fjord": "a fjord",
    "forest": "a forest",
    "plains": "fields on a plain",
    "islands": "islands in the sea",
    "snow": "a snowfield",
    "volcano": "a volcano",
    "river": "a river in a valley",
}
SEASONS = ("spring", "summer", "autumn", "winter")
_DRY = ("dunes", "mesas")
_TIMES = {"morning": "in the morning", "evening": "in the evening"}


# Ranges of a land's own; the horizon as a share of the picture's height, from above.
_HORIZON = {"plains": (0.5, 0.6), "forest": (0.3, 0.45), "islands": (0.4, 0.55)}
_CAMERA_KM = {"plains": (0.05, 0.12), "forest": (0.08, 0.16), "river": (0.12, 0.25)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Hour:
    """The light of a time of day."""

    name: str
    light_degrees: tuple[float, float]  # range of the sun's (or moon's) height
    light: Colour
    zenith: Colour
    horizon: Colour
    ambient: Colour
    glow: float  # strength of the sky's brightening around the light


HOURS = (
    Hour(
        name="dawn",
        light_degrees=(4, 8),
        light=(1.5, 0.85, 0.6),
        zenith=(0.10, 0.17, 0.38),
        horizon=(0.85, 0.50, 0.47),
        ambient=(0.22, 0.24, 0.36),
        glow=1.0,
    ),
    Hour(
        name="morning",
        light_degrees=(16, 28),
        light=(1.9, 1.65, 1.35),
        zenith=(0.07, 0.19, 0.52),
        horizon=(0.55, 0.68, 0.85),
        ambient=(0.24, 0.31, 0.44),
        glow=0.6,
    ),
    Hour(
        name="noon",
        light_degrees=(42, 60),
        light=(2.1, 2.0, 1.85),
        zenith=(0.04, 0.15, 0.50),
        horizon=(0.42, 0.60, 0.86),
        ambient=(0.26, 0.34, 0.48),
        glow=0.4,
    ),
    Hour(
        name="evening",
        light_degrees=(7, 13),
        light=(2.1, 1.25, 0.62),
        zenith=(0.09, 0.18, 0.42),
        horizon=(0.95, 0.66, 0.40),
        ambient=(0.24, 0.25, 0.34),
        glow=1.0,
    ),
    Hour(
        name="sunset",
        light_degrees=(2, 5),
        light=(1.7, 0.62, 0.26),
        zenith=(0.06, 0.09, 0.26),
        horizon=(1.00, 0.38, 0.16),
        ambient=(0.17, 0.15, 0.25),
        glow=1.4,
    ),
    Hour(
        name="dusk",
        light_degrees=(3, 6),
        light=(0.34, 0.22, 0.34),
        zenith=(0.020, 0.035, 0.13),
        horizon=(0.36, 0.22, 0.27),
        ambient=(0.11, 0.13, 0.20),
        glow=0.5,
    ),
    Hour(
        name="night",
        light_degrees=(14, 26),
        light=(0.30, 0.36, 0.50),
        zenith=(0.010, 0.020, 0.060),
        horizon=(0.065, 0.095, 0.18),
        ambient=(0.055, 0.075, 0.13),
        glow=0.3,
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One landscape's choices. Angles are radians from straight ahead, positive to the right."""

    land: str
    season: str
    hour: Hour
    light_azimuth: float
    light_height: float  # radians above the horizon
    horizon: float  # row of the horizon over the picture's height
    camera_height_km: float
    focal: float  # focal length over the picture's width
    visibility_km: float
    mist: float  # 0 to 1, in the valleys
    cloud_cover: float  # 0 to 1
    cloud_roughness: float
    rain: float  # 0 to 1
    snowfall: float
    warmth: float  # a photographer's white balance, around 1
    bearing: float  # of the farmers' fields

    @property
    def caption(self) -> str:
        """What the picture shows, in words."""
        time = _TIMES.get(self.hour.name, f"at {self.hour.name}")
        season = "" if self.land in (*_DRY, "snow") else f" in {self.season}"
        return f"{LANDS[self.land]} {time}{season}{self._weather}"

    @property
    def _weather(self) -> str:
        if self.rain:
            return ", rain"
        if self.snowfall:
            return ", falling snow"
        if self.mist > 0.3:
            return ", mist"
        if self.cloud_cover > 0.55:
            return ", under clouds"
        return ", under a clear sky" if self.cloud_cover < 0.2 else ""

    @property
    def is_dark(self) -> bool:
        """Stars are out."""
        return self.hour.name in ("dusk", "night")

    @property
    def towards_light(self) -> tuple[float, float, float]:
        """Unit vector to the light: right, up, into the picture."""
        rise, flat = direction(self.light_height)
        across, along = direction(self.light_azimuth)
        return across * flat, rise, along * flat


def choose(seed: int, index: int) -> Scene:
    """The scene of landscape `index`. Land and hour go round with the index, so that few landscapes
    are varied too; the rest is drawn."""
    random = np.random.default_rng([seed, index, 0])
    lands = tuple(LANDS)
    land = lands[(index + seed) % len(lands)]
    hour = HOURS[(3 * index + seed) % len(HOURS)]
    season = str(random.choice(SEASONS, p=(0.25, 0.3, 0.25, 0.2)))
    if land == "snow":
        season = "winter"
    bad_weather = random.random()
    rain = float(random.uniform(0.4, 1.0)) if bad_weather < 0.08 and land != "dunes" else 0.0
    rain = 0.0 if land == "snow" else rain
    snowing = season == "winter" and land not in _DRY and 0.08 <= bad_weather < 0.4
    foggy = 0.4 <= bad_weather < 0.52
    wet = rain > 0 or snowing
    return Scene(
        land=land,
        season=season,
        hour=hour,
        light_azimuth=float(random.uniform(-1.15, 1.15)),
        light_height=rounded(float(random.uniform(*hour.light_degrees)) * np.pi / 180),
        horizon=float(random.uniform(*_HORIZON.get(land, (0.36, 0.56)))),
        camera_height_km=float(random.uniform(*_CAMERA_KM.get(land, (0.07, 0.22)))),
        focal=float(random.uniform(0.75, 1.25)),
        visibility_km=float(
            random.uniform(2.5, 5) if wet or foggy else random.choice([9, 14, 22, 40])
        ),
        mist=float(random.uniform(0.5, 1.0) if foggy else max(0.0, random.uniform(-0.4, 0.5))),
        cloud_cover=float(random.uniform(0.7, 0.95) if wet else random.uniform(0.05, 0.75)),
        cloud_roughness=float(random.uniform(0.5, 0.62)),
        rain=rain,
        snowfall=float(random.uniform(0.4, 1.0)) if snowing else 0.0,
        warmth=float(random.uniform(0.93, 1.07)),
        bearing=float(random.uniform(-0.7, 0.7)),
    )
