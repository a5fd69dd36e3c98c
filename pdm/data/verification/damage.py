"""Results of a check of data on disk: how much was checked, damage, and warnings."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Damage:
    """One fault of a file, or of the `member` of a tar. Running `stage` again repairs it."""

    file: Path
    member: str | None
    fault: str
    stage: str

    def __str__(self) -> str:
        inside = f": {self.member}" if self.member else ""
        return f"{self.file}{inside}: {self.fault} (to fix it, run: pyramid {self.stage})"


@dataclass(slots=True)
class Findings:
    """The results for a folder; checks add to them."""

    damages: list[Damage] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    num_samples: int = 0
    num_shards: int = 0
    num_bytes: int = 0

    def add(self, file: Path, fault: str, stage: str, member: str | None = None) -> None:
        """Add a fault."""
        self.damages.append(Damage(file, member, fault, stage))
