"""Stable Diffusion 2.1's UNet, each residual block of which is modulated by an encoded picture."""

import torch
from torch import Tensor, nn

from pdm.baselines.stablesr.blocks import (
    WIDTH_OF_TIME,
    Downsample,
    Maps,
    ResBlock,
    Stage,
    TimeEmbedding,
    Upsample,
    attend_to_text,
)
from pdm.config.networks.stablesr import GROUPS, StableSRConfig

MULTIPLIERS = (1, 2, 4, 4)  # of the base width, from full resolution down
BLOCKS = 2  # residual blocks of a resolution on the way down; one more on the way up


class ModulatedUNet(nn.Module):
    """Predicts noise or v of a latent.

    All resolutions but the coarsest read the text, and so does the middle.

    Args:
        config: Widths.
        channels: Of the latent.
    """

    def __init__(self, config: StableSRConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        width = config.base_width
        self.time_embed = TimeEmbedding(width)
        self.input_blocks = nn.ModuleList([Stage([nn.Conv2d(channels, width, 3, padding=1)])])
        skips = [width]  # widths of the input blocks
        last = len(MULTIPLIERS) - 1
        for level, multiplier in enumerate(MULTIPLIERS):
            for _ in range(BLOCKS):
                self.input_blocks.append(self._block(width, config.base_width * multiplier, level))
                width = config.base_width * multiplier
                skips.append(width)
            if level < last:
                self.input_blocks.append(Stage([Downsample(width)]))
                skips.append(width)
        self.middle_block = Stage(
            [self._res_block(width, width), self._reader(width), self._res_block(width, width)]
        )
        self.output_blocks = nn.ModuleList()
        for level, multiplier in reversed(list(enumerate(MULTIPLIERS))):
            for number in range(BLOCKS + 1):
                wide = config.base_width * multiplier
                block = self._block(width + skips.pop(), wide, level)
                width = wide
                if level and number == BLOCKS:
                    block.append(Upsample(width))
                self.output_blocks.append(block)
        self.out = nn.Sequential(
            nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, channels, 3, padding=1)
        )

    def forward(self, x: Tensor, steps: Tensor, text: Tensor, maps: Maps) -> Tensor:
        """Predict, with the shape of the latent.

        Args:
            x: (B, C, h, w), at the scale of Stable Diffusion; h and w are multiples of 8.
            steps: (B,), from 0 to 999.
            text: (B, tokens, text_width).
            maps: Of the encoder, at full, half, quarter and eighth size.
        """
        time = self.time_embed(steps)
        skips: list[Tensor] = []
        for block in self.input_blocks:
            x = block(x, time, maps, text)
            skips.append(x)
        x = self.middle_block(x, time, maps, text)
        for block in self.output_blocks:
            x = block(torch.cat([x, skips.pop()], dim=1), time, maps, text)
        predicted: Tensor = self.out(x)
        return predicted

    def _block(self, width_in: int, width_out: int, level: int) -> Stage:
        block = Stage([self._res_block(width_in, width_out)])
        if level < len(MULTIPLIERS) - 1:
            block.append(self._reader(width_out))
        return block

    def _res_block(self, width_in: int, width_out: int) -> ResBlock:
        time_width = WIDTH_OF_TIME * self.config.base_width
        return ResBlock(width_in, width_out, time_width, self.config.encoder_width)

    def _reader(self, width: int) -> nn.Module:
        return attend_to_text(width, self.config.head_width, self.config.text_width)
