"""A file that a params file names."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pdm.config.fields import STRICT
from pdm.config.limits import require_sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class FileConfig:
    """A file by its path and its digest: with other contents it is another value of the params, so
    that DVC runs its stage again."""

    __pydantic_config__: ClassVar = STRICT

    path: Annotated[str, "of the file"]
    sha256: Annotated[str, "of the file"]

    def __post_init__(self) -> None:
        require_sha256(self.sha256)
