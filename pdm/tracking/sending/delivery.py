"""The outcome of sending a record."""

from dataclasses import dataclass

FILES, REGISTRATION = (
    "files",
    "registration",
)  # parts of a run that are not stored by the tracking server itself


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part of a run that MLflow, its artifact store or its registry refused."""

    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """The outcome of sending a record: number of new points, and what was refused."""

    num_points: int
    refusals: tuple[Refusal, ...] = ()
