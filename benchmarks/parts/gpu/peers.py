"""diffusers' networks in the same training step, tuned: bfloat16, channels_last, fused AdamW.

The UNet of ours has a peer of as many parameters on the latent of an f8 first stage, as in LDM. The
autoencoder's has the layout of Stable Diffusion's, on crops of the size that ours decodes. Peers
take bare steps: ours also clip gradients, update EMAs, iterate spectral norms and meter losses.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.parts.gpu.clock import memory_note, peak_gib, reset_peak, seconds_of
from benchmarks.parts.gpu.rows import Row
from benchmarks.parts.gpu.sizes import Size, build_unet
from benchmarks.shared.networks import count_parameters, to_channels_last
from pdm.training.monitoring.cost.flops import flops_of
from pdm.training.monitoring.cost.utilisation import matrix_rate

FACTOR = 8  # downsampling of the peers' latents
SD_WIDTHS = (128, 256, 512, 512)


def unet_peer(size: Size, device: torch.device, compiled: bool) -> Iterator[Row]:
    """UNet2DModel."""
    from benchmarks.parts.diffusion.peers import unet2d, unet2d_of

    if size.peer_width is None:
        meta = torch.device("meta")
        with meta:
            parameters = count_parameters(build_unet(size, meta))
        network = unet2d_of(parameters)
    else:
        network = unet2d(size.peer_width)
    batch, sides = size.diffusion.training.batch_size, [side // FACTOR for side in size.picture]
    data = torch.randn(batch, 4, *(max(side, FACTOR) for side in sides), device=device)
    times = torch.full((batch,), 500.0, device=device)

    def loss() -> Tensor:
        predicted: Tensor = network(data, times).sample
        return (predicted.float() - data).square().mean()

    what = f"diffusers' UNet2DModel of {count_parameters(network) / 1e6:.4g} million parameters"
    yield from _measure("peer_unet", what, network, loss, batch, size, device, compiled)


def autoencoder_peer(size: Size, device: torch.device, compiled: bool) -> Iterator[Row]:
    """AutoencoderKL."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    widths = SD_WIDTHS if size.peer_width is None else (size.peer_width,) * 4
    network = AutoencoderKL(
        block_out_channels=widths,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2 if size.peer_width is None else 1,
        latent_channels=4,
        norm_num_groups=min(32, widths[0]),
    )
    batch = size.autoencoder.training.batch_size
    side = size.autoencoder.crop_px or min(size.picture)
    images = torch.rand(batch, 3, side, side, device=device)

    def loss() -> Tensor:
        reconstructed: Tensor = network(images).sample
        return (reconstructed.float() - images).abs().mean()

    what = f"diffusers' AutoencoderKL on crops of {side}x{side}"
    yield from _measure("peer_autoencoder", what, network, loss, batch, size, device, compiled)


def _measure(
    key: str,
    what: str,
    network: nn.Module,
    loss: Callable[[], Tensor],
    batch: int,
    size: Size,
    device: torch.device,
    compiled: bool,
) -> Iterator[Row]:
    to_channels_last(network.to(device)).train()
    flops = 3 * flops_of(loss) / batch
    way = "compiled" if compiled else "default"
    if compiled:
        network.compile()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)

    def step() -> Any:
        with torch.autocast(device.type, torch.bfloat16):
            found = loss()
        found.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    reset_peak(device)
    seconds = seconds_of(step, device, size.num_steps)
    what, key = f"training step of {what}, batch {batch}, {way}", f"{key}_step_{way}"
    rate = matrix_rate(device, torch.bfloat16)
    yield Row(f"{key}_images_per_second", what, batch / seconds, "images/s")
    yield Row(f"{key}_mfu", f"{what}: share of the matrix rate", flops * batch / seconds / rate)
    yield Row(
        f"{key}_peak_gib", f"{what}: peak memory", peak_gib(device), "GiB", note=memory_note(device)
    )
