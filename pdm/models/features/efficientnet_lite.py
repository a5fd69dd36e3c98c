"""EfficientNet-Lite: small image classifiers, used here for their features.

The design is that of EfficientNet-B0 (Tan and Le, arXiv:1905.11946, table 1) without
squeeze-and-excitation and with ReLU6 for swish, as TensorFlow's `efficientnet/lite` has it. Lite1
and Lite2 have more blocks a stage, and Lite2 wider ones; stem and head stay as they are. Images are
(B, 3, H, W), of any size; `standardise` converts those in [-1, 1] to what the networks were trained
on. Batch norms are folded into the convolutions before them: the networks are for use, not for
training. TorchScript compiles them.
"""

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from pdm.models.features.variants import LITE0, Variant

NUM_CLASSES = 1000
STEM_WIDTH, NUM_FEATURES = 32, 1280
WIDTH_MULTIPLE = 8
# Pixel values x of 0 to 255 go in as (x - 127) / 128.
MEAN, DEVIATION = 127.0, 128.0
SCALE, SHIFT = 127.5 / DEVIATION, (127.5 - MEAN) / DEVIATION  # of images in [-1, 1]


class Stage(NamedTuple):
    """Blocks of one width."""

    num_blocks: int
    kernel: int
    stride: int  # of the first block; the others have 1
    expansion: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
# Stages whose last blocks' maps `taps` gives, those at strides 4, 8, 16 and 32.
TAPPED_STAGES = (1, 2, 4, 6)
TAP_WIDTHS = (24, 40, 112, 320)  # of Lite0 and Lite1


# TorchScript knows no global names, but default values.
def standardise(images: Tensor, scale: float = SCALE, shift: float = SHIFT) -> Tensor:
    """Convert images in [-1, 1] to the networks' input."""
    return images * scale + shift


def scaled_stages(variant: Variant) -> tuple[Stage, ...]:
    """The stages of a network (Tan and Le, section 3.3; as TensorFlow's code rounds)."""
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            width=_scaled_width(stage.width, variant.width),
            num_blocks=stage.num_blocks
            if number in (0, last)
            else math.ceil(stage.num_blocks * variant.depth),
        )
        for number, stage in enumerate(STAGES)
    )


def _scaled_width(width: int, factor: float) -> int:
    """To the nearest multiple of 8, but never by more than a tenth down."""
    wanted = width * factor
    nearest = int(wanted / WIDTH_MULTIPLE + 0.5) * WIDTH_MULTIPLE
    return nearest + WIDTH_MULTIPLE if nearest < 0.9 * wanted else nearest


class EfficientNetLite(nn.Module):
    """A network; see the module's docstring."""

    def __init__(self, variant: Variant = LITE0) -> None:
        super().__init__()
        self.stem = _Convolution(3, STEM_WIDTH, 3, stride=2)
        blocks: list[_Block] = []
        width = STEM_WIDTH
        taps: list[int] = []
        for number, stage in enumerate(scaled_stages(variant)):
            for place in range(stage.num_blocks):
                blocks.append(_Block(width, stage, stage.stride if place == 0 else 1))
                width = stage.width
            if number in TAPPED_STAGES:
                taps.append(len(blocks) - 1)
        self.blocks = nn.ModuleList(blocks)
        self.tap_numbers = taps  # of the blocks whose maps `taps` gives
        self.halving_numbers = [n for n, block in enumerate(blocks) if block.halves]
        self.halving_widths = [block.expanded_width for block in blocks if block.halves]
        self.head = _Convolution(width, NUM_FEATURES, 1)
        self.classifier = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def taps(self, images: Tensor) -> list[Tensor]:
        """Return feature maps (B, C, h, w) at strides 4, 8, 16 and 32; of Lite0 and Lite1 with
        `TAP_WIDTHS` channels.

        They are taken before an activation, so values have any sign.
        """
        maps = []
        x = F.relu6(self.stem(images), inplace=True)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.tap_numbers:
                maps.append(x)
        return maps

    def pool(self, last_map: Tensor) -> Tensor:
        """Turn the last map of `taps` into the classifier's input: (B, 1280) in [0, 6]."""
        return F.relu6(self.head(last_map)).mean(dim=(2, 3))

    def features(self, images: Tensor) -> Tensor:
        """Return the classifier's input: (B, 1280) in [0, 6]."""
        return self.pool(self.taps(images)[-1])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 1000) of the ImageNet classes."""
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
        down, across = self._missing(x.shape[2]), self._missing(x.shape[3])
        if down % 2 + across % 2 > 0:
            x = F.pad(x, [across // 2, across - across // 2, down // 2, down - down // 2])
            down, across = 0, 0
        inside = [down // 2, across // 2]  # by the convolution itself, which copies nothing
        return F.conv2d(x, self.weight, self.bias, self.stride, inside, groups=self.groups)

    def _missing(self, side: int) -> int:
        """Pixels to add to a side."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        steps = (side + stride - 1) // stride - 1
        return max(steps * stride + kernel - side, 0)


class _Block(nn.Module):
    """Inverted residual block: 1x1 expansion, depthwise convolution, 1x1 projection."""

    def __init__(self, in_width: int, stage: Stage, stride: int) -> None:
        super().__init__()
        self.expanded_width = inner = in_width * stage.expansion
        self.expand = _Convolution(in_width, inner, 1) if stage.expansion > 1 else None
        self.around = _Convolution(inner, inner, stage.kernel, stride=stride, groups=inner)
        self.project = _Convolution(inner, stage.width, 1)
        self.halves = stride == 2
        self.adds = stride == 1 and in_width == stage.width

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_width, H, W) to (B, width, H / stride, W / stride)."""
        return self.reduce(self.expanded(x), x)

    def expanded(self, x: Tensor) -> Tensor:
        """(B, in_width, H, W) to (B, in_width x expansion, H, W), in [0, 6]."""
        if self.expand is not None:
            x = F.relu6(self.expand(x), inplace=True)
        return x

    def reduce(self, inner: Tensor, x: Tensor) -> Tensor:
        """Return the block's output for `x`, of which `inner` is `expanded`."""
        output: Tensor = self.project(F.relu6(self.around(inner), inplace=True))
        return output + x if self.adds else output
