"""Results of a check of data on disk: how much was checked, damage, and warnings."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Damage:
    """One fault of a file, or of the `member` of a tar, and the `cure`."""

    file: Path
    member: str | None
    fault: str
    cure: str

    def __str__(self) -> str:
        inside = f": {self.member}" if self.member else ""
        return f"{self.file}{inside}: {self.fault} (to fix it, {self.cure})"


@dataclass(slots=True)
class Findings:
    """The results for a folder; checks add to them."""

    damages: list[Damage] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    num_samples: int = 0
    num_shards: int = 0
    num_bytes: int = 0

    def add(self, file: Path, fault: str, stage: str, member: str | None = None) -> None:
        """Add a fault that running `stage` again repairs."""
        self.damages.append(Damage(file, member, fault, f"run: pyramid {stage}"))

    def add_object(self, file: Path, fault: str, cure: str) -> None:
        """Add a fault of a file that no stage writes."""
        self.damages.append(Damage(file, None, fault, cure))
