"""Images as pixels. Without torch, so that processes that only draw or decode start fast."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3) or (B, H, W, 3), sRGB
