"""What a check of data on disk found: how much was checked, what is damaged, what is only odd."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Damage:
    """One fault. `member` names the file inside a tar, if it is about one; run `stage` again."""

    file: Path
    member: str | None
    fault: str
    stage: str

    def __str__(self) -> str:
        inside = f": {self.member}" if self.member else ""
        return f"{self.file}{inside}: {self.fault} (to fix it, run: pyramid {self.stage})"


@dataclass(slots=True)
class Findings:
    """Filled while folders are checked."""

    damages: list[Damage] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    num_samples: int = 0
    num_shards: int = 0
    num_bytes: int = 0

    def add(self, file: Path, fault: str, stage: str, member: str | None = None) -> None:
        """Write down one more fault."""
        self.damages.append(Damage(file, member, fault, stage))
