"""What a training takes before it begins: shapes, parameters, operations and memory by part.

The step is followed without values (`pdm.training.monitoring.cost.live_memory`), so this works for
networks that would never fit here. Memory is that of tensors, and of the kernels that a first step
loads. Beside it a process needs what Python and torch take when they start, what kernels use for a
moment, and on a CPU the pictures in memory and holes in the heap.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.training.loop import TrainingConfig
from pdm.counts import counted
from pdm.data.shards import manifest
from pdm.models.levels.pyramid import Downsampling, LevelShape
from pdm.registry import build_autoencoder, build_denoiser
from pdm.training import lora
from pdm.training.loop.activation_checkpointing import checkpoint_activations
from pdm.training.loop.precision import autocast
from pdm.training.loop.prefetch import Batch
from pdm.training.loop.updates.muon import is_matrix
from pdm.training.monitoring.cost.example_batches import META, autoencoder_batch, diffusion_batch
from pdm.training.monitoring.cost.live_memory import LiveMemory, without_values
from pdm.training.monitoring.cost.utilisation import flops_per_image
from pdm.training.objectives.adversarial import build_adversary
from pdm.training.objectives.losses import AutoencoderLosses, FlowLosses
from pdm.training.objectives.perceptual import load_perceptual

CPU = torch.device("cpu")
GIB = 2**30
# The convolutions that oneDNN compiles for the shapes of a network and a size of batches: 35 MB in
# float32 and 60 MB in bfloat16, for the default networks.
CONVOLUTION_BYTES = 56_000_000
KERNEL_BYTES = 24_000_000 + CONVOLUTION_BYTES  # and torch's code, loaded by the first step
HOST_PARTS = ("checkpoint", "kernels")


@dataclass(frozen=True)
class Footprint:
    """What one worker of a training takes.

    Args:
        inputs: Shapes (C, H, W) of one picture, or of the levels of its latents.
        micro_batch_size: Images in one pass on one worker.
        parameters: Weights that are trained.
        images_per_step: Images of an optimizer step, over all workers.
        total_images: Images of the whole training.
        flops_per_step: Operations of an optimizer step, over all workers; None if unknown.
        memory: Bytes by part. On the host are "kernels" and, beside a GPU only, "checkpoint": from
            the first checkpoint on a copy of this worker's part of the state, if there is room
            (`pdm.training.checkpoints.contents`). The others are on the device.
    """

    inputs: tuple[tuple[int, ...], ...]
    micro_batch_size: int
    parameters: int
    images_per_step: int
    total_images: int
    flops_per_step: float | None
    memory: dict[str, int]

    @property
    def device_bytes(self) -> int:
        """Peak memory of the device."""
        return sum(size for part, size in self.memory.items() if part not in HOST_PARTS)

    @property
    def host_bytes(self) -> int:
        """Peak memory where the host is the device."""
        return self.device_bytes + self.memory["kernels"]

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.inputs)
        lines = [
            f"inputs of an image: {shapes}; micro-batches of {self.micro_batch_size}",
            f"parameters: {self.parameters:,}; operations: {self._operations()}",
            "memory of a worker, predicted:",
        ]
        lines += [f"  {part:<12} {size / GIB:8.3f} GiB" for part, size in self.memory.items()]
        lines.append(
            f"  {'in all':<12} {self.device_bytes / GIB:8.3f} GiB on the device, and on the host "
            f"{self.memory['kernels'] / GIB:.3f} GiB for kernels; beside a GPU also "
            f"{self.memory['checkpoint'] / GIB:.3f} GiB for the copy that a checkpoint is made of"
        )
        return "\n".join(lines)

    def _operations(self) -> str:
        if self.flops_per_step is None:
            return "unknown"
        in_all = self.flops_per_step * self.total_images / self.images_per_step
        return (
            f"{self.flops_per_step:.3g} a step of {counted(self.images_per_step, 'image')}, "
            f"{in_all:.3g} in all {counted(self.total_images, 'image')}"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs; memory in bytes."""
        return {
            "inputs": [list(shape) for shape in self.inputs],
            "micro_batch_size": self.micro_batch_size,
            "parameters": self.parameters,
            "images_per_step": self.images_per_step,
            "total_images": self.total_images,
            "flops_per_step": self.flops_per_step,
            "memory_bytes": self.memory,
            "device_bytes": self.device_bytes,
        }


def autoencoder_footprint(
    config: AutoencoderConfig, micro_batch_size: int | None = None
) -> Footprint:
    """Predict what a training of the autoencoder takes.

    Args:
        config: Section `autoencoder` of the params.
        micro_batch_size: Images in one pass on a worker; None for those of the config.

    Raises:
        BadInput: The perceptual network is missing.
    """
    count = micro_batch_size or config.training.micro_batch_size(config.training.num_workers)

    perceptual = load_perceptual(config.perceptual, CPU) if config.perceptual else None

    def build() -> tuple[nn.Module, nn.Module, nn.Module | None]:
        model = build_autoencoder(config)
        adversary = build_adversary(config, perceptual)
        return AutoencoderLosses(model, config, perceptual, adversary), model, adversary

    def batch(losses: Any, device: torch.device) -> Batch:
        return autoencoder_batch(config, losses.model, count, device)

    shape = (3, config.image_height_px, config.image_width_px)
    return _footprint(config.training, count, (shape,), build, batch)


def diffusion_footprint(
    config: DiffusionConfig,
    level_shapes: tuple[LevelShape, ...],
    level_downsamplings: tuple[Downsampling, ...],
    micro_batch_size: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Footprint:
    """Predict what a training of the denoising network takes, like `autoencoder_footprint`.

    Args:
        config: Section `diffusion` of the params.
        level_shapes: Of the latents, coarse to fine.
        level_downsamplings: Likewise.
        micro_batch_size: As there.
        facts: Those of the latents' manifest, see `build_denoiser`.
    """
    count = micro_batch_size or config.training.micro_batch_size(config.training.num_workers)
    channels = tuple(shape[0] for shape in level_shapes)

    def build() -> tuple[nn.Module, nn.Module, None]:
        model = build_denoiser(config, channels, level_downsamplings, facts)
        if config.lora is not None:
            lora.adapt(model, config.lora)
        return FlowLosses(model, config.level_loss_weights), model, None

    def batch(losses: Any, device: torch.device) -> Batch:
        sizes = losses.model.condition_sizes
        return diffusion_batch(config, level_shapes, count, device, sizes)

    return _footprint(config.training, count, level_shapes, build, batch)


def levels_of_latents(
    latents: Path,
) -> tuple[tuple[LevelShape, ...], tuple[Downsampling, ...], Mapping[str, Any]]:
    """Shapes (C, h, w) and downsamplings of the levels, and the facts of the manifest.

    Raises:
        BadInput: The latents have no manifest.
    """
    facts = manifest.load(latents).facts
    shapes = tuple((channels, height, width) for channels, height, width in facts["level_shapes"])
    return shapes, tuple(facts["level_downsamplings"]), facts


def _footprint(
    config: TrainingConfig,
    count: int,
    inputs: tuple[tuple[int, ...], ...],
    build: Callable[[], tuple[nn.Module, nn.Module, nn.Module | None]],
    batch: Callable[[Any, torch.device], Batch],
) -> Footprint:
    mode = without_values()
    with mode:
        losses, model, adversary = build()
    with META:
        on_meta, *_ = build()
    saved_weights = [*model.parameters(), *(adversary.parameters() if adversary else ())]
    trained = [weight for weight in saved_weights if weight.requires_grad]
    shards = config.num_workers if config.strategy == "fsdp" else 1
    own, all_trained = _bytes(model.parameters()), _bytes(trained)
    sharded = _bytes(saved_weights)  # with LoRA also those that stay
    others = _bytes([*losses.parameters(), *losses.buffers()]) - sharded
    emas = 1 + len(config.ema_lengths)
    memory = {
        "weights": sharded // shards + others,
        "gradients": all_trained // shards,
        "optimizer": sum(map(_moments_of(config), trained)) // shards,
        "EMA": emas * own // shards + (own if shards > 1 else 0),
    }
    memory["activations"] = max(0, _peak(mode, config, losses, model, batch) - memory["gradients"])
    saved = sharded + emas * own + sum(map(_moments_of(config), trained))
    flops = flops_per_image(on_meta, batch(on_meta, META))
    images = count * config.num_workers * config.accumulation
    memory |= {"checkpoint": saved // shards, "kernels": KERNEL_BYTES}
    return Footprint(
        inputs=inputs,
        micro_batch_size=count,
        parameters=sum(weight.numel() for weight in trained),
        images_per_step=images,
        total_images=config.total_images,
        flops_per_step=None if flops is None else flops * images,
        memory=memory,
    )


def _peak(
    mode: FakeTensorMode,
    config: TrainingConfig,
    losses: nn.Module,
    model: nn.Module,
    batch: Callable[[Any, torch.device], Batch],
) -> int:
    """Follow one pass forward and back; give the peak of its tensors, gradients included."""
    if config.checkpoint_activations:
        checkpoint_activations(model)
    losses.train()
    memory = LiveMemory()
    with mode, memory:
        for _ in range(min(2, config.accumulation)):  # the second pass finds gradients there
            with autocast(config, CPU):
                loss = losses(*batch(losses, CPU))["loss"]
            loss.backward()
            del loss
    return memory.peak


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _moments_of(config: TrainingConfig) -> Callable[[nn.Parameter], int]:
    """Bytes that the optimizer keeps for a weight: two moments, or Muon's momentum."""

    def moments(weight: nn.Parameter) -> int:
        one = config.optimizer == "muon" and is_matrix(weight)
        return weight.numel() * weight.element_size() * (1 if one else 2)

    return moments
