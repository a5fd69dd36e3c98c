"""The time-aware encoder: reads the latent of the enlarged picture, with the step, into a map for
each resolution of the UNet (StableSR, section 3.1)."""

from torch import Tensor, nn

from pdm.baselines.stablesr.blocks import (
    WIDTH_OF_TIME,
    Downsample,
    Maps,
    ResBlock,
    SelfAttention,
    Stage,
    TimeEmbedding,
)
from pdm.config.networks.stablesr import StableSRConfig

MULTIPLIERS = (1, 1, 2, 2)  # of the width, from full resolution down
BLOCKS = 2  # residual blocks of a resolution


class TimeAwareEncoder(nn.Module):
    """The first half of a UNet, and a residual block for each map that it gives.

    All resolutions but the coarsest attend, and so does the middle.

    Args:
        config: Widths.
        channels: Of the latent.
    """

    def __init__(self, config: StableSRConfig, channels: int) -> None:
        super().__init__()
        base, heads = config.encoder_width, config.encoder_heads
        time_width, width = WIDTH_OF_TIME * base, base
        self.time_embed = TimeEmbedding(base)
        self.input_blocks = nn.ModuleList([Stage([nn.Conv2d(channels, base, 3, padding=1)])])
        widths, last = [], len(MULTIPLIERS) - 1
        for level, multiplier in enumerate(MULTIPLIERS):
            for _ in range(BLOCKS):
                block = Stage([ResBlock(width, base * multiplier, time_width)])
                width = base * multiplier
                if level < last:
                    block.append(SelfAttention(width, heads))
                self.input_blocks.append(block)
            widths.append(width)
            if level < last:
                self.input_blocks.append(Stage([Downsample(width)]))
        self.middle_block = Stage(
            [
                ResBlock(width, width, time_width),
                SelfAttention(width, heads),
                ResBlock(width, width, time_width),
            ]
        )
        self.fea_tran = nn.ModuleList([ResBlock(width, base, time_width) for width in widths])

    def forward(self, x: Tensor, steps: Tensor) -> Maps:
        """Encode.

        Args:
            x: (B, C, h, w), at the scale of Stable Diffusion; h and w are multiples of 8.
            steps: (B,), from 0 to 999.

        Returns:
            Maps (B, encoder_width, ., .) at full, half, quarter and eighth size, by their width.
        """
        time = self.time_embed(steps)
        found: list[Tensor] = []
        for block in self.input_blocks:
            if isinstance(block, Stage) and isinstance(block[0], Downsample):
                found.append(x)
            x = block(x, time, {})
        found.append(self.middle_block(x, time, {}))
        maps = (block(one, time, {}) for block, one in zip(self.fea_tran, found, strict=True))
        return {one.shape[-1]: one for one in maps}
