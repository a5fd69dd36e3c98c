"""Tells outages of MLflow from refusals."""

from collections.abc import Iterator

from mlflow.exceptions import MlflowException

from pdm.tracking.connection.redaction import redact

# HTTP status 429, 503 and 504, and a database that another process has locked.
AWAY = (
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "TEMPORARILY_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
)
GONE, IN_THE_BIN = "RESOURCE_DOES_NOT_EXIST", ("INVALID_PARAMETER_VALUE", "INVALID_STATE")
LONGEST_REASON = 200


def is_outage(error: Exception) -> bool:
    """Whether MLflow did not answer, so that all other requests would fail now, too."""
    if isinstance(error, MlflowException) and error.error_code in AWAY:
        return True
    # Network errors, including those of `requests`, are OSErrors.
    return any(isinstance(cause, OSError) for cause in _causes(error))


def reason(error: BaseException) -> str:
    """Describe the innermost cause in one short line, without passwords."""
    *_, cause = _causes(error)
    return f"{type(cause).__name__}: {redact(' '.join(str(cause).split()))}"[:LONGEST_REASON]


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
