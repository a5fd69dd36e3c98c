"""Setting `init_from` of both trainings: the model that fine-tuning starts from."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pdm.config.fields import STRICT
from pdm.config.limits import check_limits, require_sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class InitFromConfig:
    """A trained model whose weights a training starts from."""

    __pydantic_config__: ClassVar = STRICT

    path: Annotated[str, "its folder"]
    sha256: Annotated[str, "of its model.safetensors"]

    def __post_init__(self) -> None:
        check_limits(self)
        require_sha256(self.sha256)
