"""What became of a record that was sent."""

from dataclasses import dataclass

FILES, REGISTRATION = (
    "files",
    "registration",
)  # parts of a run that something else than MLflow takes


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part of a run that MLflow, its artifact store or its registry did not take."""

    part: str
    reason: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a record: the points that arrived now, and what was refused."""

    num_points: int
    refusals: tuple[Refusal, ...] = ()
