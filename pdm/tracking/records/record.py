"""What is known of one tracked run, and how much of that MLflow has.

A record is the file `tracking.json` in a run's folder, beside `events.jsonl`: the two hold all
that MLflow should know, so whatever could not be sent can be sent later.
"""

import dataclasses
import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pdm.files import write_json
from pdm.tracking.connection.redaction import without_credentials

FILE_NAME = "tracking.json"
RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"  # MLflow's words


@dataclass(slots=True)
class Sent:
    """What has arrived, at which MLflow."""

    uri: str = ""  # without credentials
    run_id: str = ""
    parent_id: str = ""
    facts: bool = False  # params, data set
    tags: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)  # metric or picture -> its last step
    scores: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    nonfinite: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    samples: str = ""
    model: str = ""
    promotion: dict[str, str] = field(default_factory=dict)  # outcome, reason, version
    status: str = ""
    previous: str = ""  # the run that this one takes the place of, which was deleted there


@dataclass(slots=True)
class Record:
    """One run of one stage. Paths are as the stage was given them."""

    stage: str
    parent: str  # names the pipeline run; equal for all its stages
    params: dict[str, str]
    tags: dict[str, str]
    data: dict[str, str]  # name, digest, source of the data set; empty if there is none
    began: float  # Unix time in seconds; events from before it belong to an earlier run
    process: int
    ended: float = 0.0
    status: str = RUNNING
    settings: dict[str, str] = field(default_factory=dict)  # all of params.yaml, under stage.name
    scores: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0  # of work until `ended`, in all processes that took the run up
    cpu_seconds: float = 0.0  # of these processes themselves
    nonfinite: list[str] = field(default_factory=list)  # metrics and scores that were, sorted
    pictures: list[str] = field(default_factory=list)
    samples: str = ""
    model: str = ""
    candidate: dict[str, str] = field(default_factory=dict)  # folders of both networks, and sha256
    sent: Sent = field(default_factory=Sent)

    @classmethod
    def load(cls, folder: Path) -> "Record | None":
        """The record of a run's folder; None if there is none that can be read."""
        try:
            values = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
            sent = Sent(**values["sent"])
            sent.uri = without_credentials(sent.uri)  # earlier versions kept all of it
            return cls(**values | {"sent": sent})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, folder: Path) -> None:
        """Write it, whole."""
        with _changing:
            write_json(folder / FILE_NAME, dataclasses.asdict(self))

    @contextmanager
    def arriving(self, folder: Path) -> Iterator[Sent]:
        """Note in the block what has arrived; then the record is saved."""
        with _changing:
            yield self.sent
            write_json(folder / FILE_NAME, dataclasses.asdict(self))

    def end(self, status: str) -> None:
        """The work is over. The time first: the sender may look between the two."""
        self.ended = time.time()
        self.status = status

    def name_nonfinite(self, names: Iterable[str]) -> None:
        """Remember metrics that had a value which is no number to draw or compare."""
        self.nonfinite = sorted({*self.nonfinite, *names})

    @property
    def awaits_promotion(self) -> bool:
        """Whether it is still to be decided if this model is the champion."""
        return bool(self.candidate) and self.status == FINISHED and not self.sent.promotion

    @property
    def is_complete(self) -> bool:
        """Whether MLflow knows all of it but, perhaps, lines of the logs."""
        sent = self.sent
        return (
            sent.facts
            and sent.status == self.status
            and sent.tags == self.tags
            and sent.scores == self.scores
            and sent.costs == self.costs
            and sent.nonfinite == self.nonfinite
            and set(self.pictures) <= set(sent.pictures)
            and sent.samples == self.samples
            and sent.model == self.model
            and not self.awaits_promotion
        )


_changing = threading.Lock()  # the stage saves the record while the sender may change it
