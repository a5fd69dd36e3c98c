"""What a check found."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from pdm.errors import BadInput, PyramidError, Unavailable

MAX_LISTED = 5  # things that a line names

Status = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: what was looked at, and what there is."""

    name: str
    status: Status
    text: str
    error: type[PyramidError] | None = None  # of an error: how the pipeline would end

    def as_dict(self) -> dict[str, Any]:
        """Return name, status and text, and the exit code that the pipeline would end with."""
        found = asdict(self)
        error = found.pop("error")
        return found | {"exit_code": error.exit_code if error else 0}


def ok(name: str, text: str) -> Finding:
    """Everything is as it should be."""
    return Finding(name, "ok", text)


def warning(name: str, text: str) -> Finding:
    """The pipeline runs, but the user should know this."""
    return Finding(name, "warning", text)


def error(name: str, text: str, kind: type[PyramidError]) -> Finding:
    """The pipeline, or a part of it, would end with this kind of error."""
    return Finding(name, "error", text, kind)


def failed(name: str, fault: PyramidError) -> Finding:
    """The check raised an expected error, whose text says what to do."""
    return error(name, str(fault), type(fault))


def listed(texts: list[str]) -> str:
    """Join the first of these texts, and say how many more there are."""
    more = len(texts) - MAX_LISTED
    return ", ".join(texts[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def raise_for(findings: list[Finding]) -> None:
    """Raise an error if any of the findings is one.

    Raises:
        BadInput: The user's input cannot be used: retrying will not help.
        Unavailable: Otherwise, something is missing.
    """
    wrong = [each for each in findings if each.status == "error"]
    if not wrong:
        return
    names = ", ".join(each.name for each in wrong)
    kind = BadInput if any(each.error is BadInput for each in wrong) else Unavailable
    raise kind(f"{len(wrong)} of {len(findings)} checks failed: {names}")
