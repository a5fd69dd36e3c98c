"""The record of a tracked run, and of what MLflow already has of it.

A record is the file `tracking.json` in a run's folder, next to `events.jsonl`. Together they
contain everything for MLflow, so unsent parts can be sent later.
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
RUNNING, FINISHED, FAILED, KILLED = "RUNNING", "FINISHED", "FAILED", "KILLED"  # MLflow's names


@dataclass(slots=True)
class Sent:
    """What has arrived, and at which MLflow."""

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
    previous: str = ""  # deleted run that this one replaces


@dataclass(slots=True)
class Record:
    """One run of one stage. Paths are as passed to the stage."""

    stage: str
    parent: str  # key of the pipeline run, the same for all its stages
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
    seconds: float = 0.0  # wall time until `ended`, in all processes that worked on the run
    cpu_seconds: float = 0.0  # CPU time of these processes
    nonfinite: list[str] = field(default_factory=list)  # names of values that were not finite
    pictures: list[str] = field(default_factory=list)
    samples: str = ""
    model: str = ""
    candidate: dict[str, str] = field(default_factory=dict)  # folders of both networks, and sha256
    sent: Sent = field(default_factory=Sent)

    @classmethod
    def load(cls, folder: Path) -> "Record | None":
        """Load the record of a run's folder; None if it is missing or damaged."""
        try:
            values = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
            sent = Sent(**values["sent"])
            sent.uri = without_credentials(sent.uri)  # earlier versions stored credentials
            return cls(**values | {"sent": sent})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, folder: Path) -> None:
        """Write the record, atomically."""
        with _changing:
            write_json(folder / FILE_NAME, dataclasses.asdict(self))

    @contextmanager
    def arriving(self, folder: Path) -> Iterator[Sent]:
        """Update what has arrived in the block; the record is saved afterwards."""
        with _changing:
            yield self.sent
            write_json(folder / FILE_NAME, dataclasses.asdict(self))

    def end(self, status: str) -> None:
        """Mark the work as ended. Set the time first, since the sender may read between the two."""
        self.ended = time.time()
        self.status = status

    def name_nonfinite(self, names: Iterable[str]) -> None:
        """Add names of metrics that had a value that is not finite."""
        self.nonfinite = sorted({*self.nonfinite, *names})

    @property
    def is_open(self) -> bool:
        """Whether the work did not finish, or MLflow was not told that it did."""
        return self.status != FINISHED or self.sent.status == RUNNING

    @property
    def awaits_promotion(self) -> bool:
        """Whether the decision on promotion is still open."""
        return bool(self.candidate) and self.status == FINISHED and not self.sent.promotion

    @property
    def is_complete(self) -> bool:
        """Whether MLflow has everything except, perhaps, lines of the logs."""
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
