"""All that a training run carries from one step to the next.

`pdm.training.checkpoints.state_copy` says what a checkpoint's folder holds. No random state is
kept: randomness follows from the position (`pdm.training.loop.seeds`).
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pdm.config.common import TrainingConfig
from pdm.ema import decay_at
from pdm.files import sha256_of
from pdm.models.layers import spectral_weights
from pdm.training.checkpoints.state_copy import MANIFEST, HostMemory, StateCopy
from pdm.training.distributed.sharded import shard_like, shard_model
from pdm.training.loop.optimizer import (
    DiscriminatorTraining,
    build_optimizer,
    networks_to_optimize,
)


class TrainState:
    """Model, its running averages, optimizer and progress; and the discriminator, if there is one.

    With `strategy` "fsdp" the weights are spread over the workers here, and all of them must call
    `copy`, `save` and `load`.

    Args:
        model: The network under training, on its device.
        config: What is read here: strategy, the optimizer's settings, `ema_lengths`.
        discriminator: Only the optimizer and the checkpoints know it; it has no average.

    Attributes:
        average: A whole network with the average weights; where weights are spread, those of the
            last `copy`.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainingConfig,
        discriminator: DiscriminatorTraining | None = None,
    ) -> None:
        self.model = model
        self.ema = copy.deepcopy(model).requires_grad_(False).eval()
        self.is_sharded = shard_model(model, config)
        self.discriminator = discriminator.network if discriminator is not None else None
        names = {"ema": 0.0} | {f"ema-{length}": length for length in config.ema_lengths}
        self.lengths = names  # of each average; 0: the one that forgets at a fixed rate
        self.means = {name: [one.detach().clone() for one in model.parameters()] for name in names}
        if not self.is_sharded:
            self.means["ema"] = list(self.ema.parameters())
        self.spectral_weights = spectral_weights(model)
        self.networks = networks_to_optimize(model, config, discriminator)
        self.optimizer = build_optimizer(self.networks, config)
        self.images_seen = 0  # over all workers
        self._memory = HostMemory()

    @torch.no_grad()
    def update_ema(self, half_life_images: int, batch_size: int) -> None:
        """Count one more batch, and move the averages towards the model by that much.

        After n steps the average is the mean of the n models, each weighing half as much as one
        `half_life_images` later: normalised from the start, so that the initial weights, which
        saw no image, have no part in it. The averages with a length are those of `pdm.ema`.
        """
        self.images_seen += batch_size
        step = self.images_seen // batch_size
        keep = 0.5 ** (batch_size / half_life_images)
        for name, length in self.lengths.items():
            share = 1 - decay_at(step, length) if length else (1 - keep) / (1 - keep**step)
            for mean, latest in zip(self.means[name], self.model.parameters(), strict=True):
                mean.lerp_(latest, share)
        for kept, buffer in zip(self.ema.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)

    def copy(self) -> StateCopy:
        """All of it on the CPU; the next call overwrites what this one returned."""
        files = {"model": self.model.state_dict()}
        for name, means in self.means.items():
            names = [one for one, _ in self.model.named_parameters()]
            files[name] = dict(zip(names, means, strict=True))
        files["ema"] = self.model.state_dict() | files["ema"]  # with buffers
        if self.discriminator is not None:
            files["discriminator"] = self.discriminator.state_dict()
        files["optimizer"] = self._optimizer_tensors()
        copied = StateCopy(self._memory.copy(files), self.images_seen)
        if self.is_sharded:
            self.ema.load_state_dict(copied.files["ema"])
        return copied

    def save(self, folder: Path) -> None:
        """Write the folder, whole or not at all."""
        self.copy().write(folder)

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, with whatever number of workers.

        Raises:
            ValueError: A file is missing, altered or no safetensors, or is of another model.
        """
        check_checkpoint(folder)
        try:
            self._load_model(load_file(folder / "model.safetensors"))
            self.ema.load_state_dict(load_file(folder / "ema.safetensors"))
            for name, means in self.means.items():
                self._load_means(means, load_file(folder / f"{name}.safetensors"))
            if self.discriminator is not None:
                self.discriminator.load_state_dict(load_file(folder / "discriminator.safetensors"))
            self._load_optimizer(load_file(folder / "optimizer.safetensors"))
        except (RuntimeError, KeyError, IndexError, OSError, SafetensorError) as error:
            said = " ".join(str(error).split())
            raise ValueError(f"{folder} does not fit the model: {said}") from error
        self.images_seen = json.loads((folder / "state.json").read_text())["images_seen"]

    def _load_model(self, tensors: dict[str, Tensor]) -> None:
        known = self.model.state_dict()
        fitting = {
            name: shard_like(known[name], tensor) if name in known else tensor
            for name, tensor in tensors.items()
        }
        self.model.load_state_dict(fitting)

    @torch.no_grad()
    def _load_means(self, means: list[Tensor], tensors: dict[str, Tensor]) -> None:
        names = (name for name, _ in self.model.named_parameters())
        for name, mean in zip(names, means, strict=True):
            mean.copy_(shard_like(mean, tensors[name]))

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        """`index.name` -> tensor; the optimizer's settings come from the params instead."""
        state = self.optimizer.state_dict()["state"]
        return {
            f"{i}.{name}": value for i, values in state.items() for name, value in values.items()
        }

    @torch.no_grad()
    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        state: dict[int, dict[str, Any]] = {}
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        for key, value in tensors.items():
            index, name = key.split(".")
            weight = weights[int(index)]
            # The fused step walks weight and moments by memory order, so they must share one.
            fits = value.shape == weight.shape
            one = torch.empty_like(weight).copy_(shard_like(weight, value)) if fits else value
            state.setdefault(int(index), {})[name] = one
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def check_checkpoint(folder: Path) -> None:
    """Compare every file of a checkpoint with its manifest.

    Raises:
        ValueError: Names what is missing or altered.
    """
    try:
        digests = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        altered = [name for name, digest in digests.items() if sha256_of(folder / name) != digest]
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder} is not a whole checkpoint: {error}") from error
    if altered:
        raise ValueError(f"{folder} is damaged: {', '.join(altered)} differs from its sha256")
