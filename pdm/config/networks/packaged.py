"""Names of the packaged networks, which are in `pdm.models.features`."""

from typing import Literal

NetworkName = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]
