"""The state of a training: everything that one step passes on to the next.

`pdm.training.checkpoints.state_copy` says what a checkpoint's folder holds. No random state is
saved: randomness follows from the position (`pdm.training.loop.seeds`).
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
    """The model, its EMAs, optimizer and progress; and the discriminator, if there is one.

    With `strategy` "fsdp" this class shards the weights, and all workers must call `copy`, `save`
    and `load`.

    Args:
        model: The network under training, on its device.
        config: Settings; only strategy, optimizer and `ema_lengths` are read here.
        discriminator: Trained by the same optimizer, and saved; has no EMA.

    Attributes:
        ema: A complete network with the EMA weights; with sharded weights, those of the last
            `copy`.
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
        self.lengths = names  # length of each EMA; 0 for the one with a fixed half-life
        self.ema_weights = {
            name: [one.detach().clone() for one in model.parameters()] for name in names
        }
        if not self.is_sharded:
            self.ema_weights["ema"] = list(self.ema.parameters())
        self.spectral_weights = spectral_weights(model)
        self.networks = networks_to_optimize(model, config, discriminator)
        self.optimizer = build_optimizer(self.networks, config)
        self.images_seen = 0  # over all workers
        self._memory = HostMemory()

    @torch.no_grad()
    def update_ema(self, half_life_images: int, batch_size: int) -> None:
        """Count one more batch, and update the EMAs.

        After n steps, `ema` is the weighted mean of the n models; a model weighs half as much as
        one `half_life_images` later. The weights are normalised, so the random initial model has no
        part in it. EMAs with a length are those of `pdm.ema`.
        """
        self.images_seen += batch_size
        step = self.images_seen // batch_size
        keep = 0.5 ** (batch_size / half_life_images)
        shares = [
            1 - decay_at(step, length) if length else (1 - keep) / (1 - keep**step)
            for length in self.lengths.values()
        ]
        # All EMAs of a weight in turn, so that it is read from memory once.
        means = zip(*(self.ema_weights[name] for name in self.lengths), strict=True)
        for latest, means_of_weight in zip(self.model.parameters(), means, strict=True):
            for mean, share in zip(means_of_weight, shares, strict=True):
                mean.lerp_(latest, share)
        for kept, buffer in zip(self.ema.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)

    def copy(self) -> StateCopy:
        """Copy the state to the CPU; the next call overwrites the returned copy."""
        files = {"model": self.model.state_dict()}
        for name, means in self.ema_weights.items():
            names = [one for one, _ in self.model.named_parameters()]
            files[name] = dict(zip(names, means, strict=True))
        files["ema"] = self.model.state_dict() | files["ema"]  # adds the buffers
        if self.discriminator is not None:
            files["discriminator"] = self.discriminator.state_dict()
        files["optimizer"] = self._optimizer_tensors()
        copied = StateCopy(self._memory.copy(files), self.images_seen)
        if self.is_sharded:
            self.ema.load_state_dict(copied.files["ema"])
        return copied

    def save(self, folder: Path) -> None:
        """Write a checkpoint's folder, atomically."""
        self.copy().write(folder)

    def load(self, folder: Path) -> None:
        """Restore the state that `save` wrote, with any number of workers.

        Raises:
            ValueError: A file is missing, altered, not in safetensors format, or of another model.
        """
        check_checkpoint(folder)
        try:
            self._load_model(load_file(folder / "model.safetensors"))
            self.ema.load_state_dict(load_file(folder / "ema.safetensors"))
            for name, means in self.ema_weights.items():
                self._load_ema_weights(means, load_file(folder / f"{name}.safetensors"))
            if self.discriminator is not None:
                self.discriminator.load_state_dict(load_file(folder / "discriminator.safetensors"))
            self._load_optimizer(load_file(folder / "optimizer.safetensors"))
        except (RuntimeError, KeyError, IndexError, OSError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{folder} does not fit the model: {reason}") from error
        self.images_seen = json.loads((folder / "state.json").read_text())["images_seen"]

    def _load_model(self, tensors: dict[str, Tensor]) -> None:
        known = self.model.state_dict()
        fitting = {
            name: shard_like(known[name], tensor) if name in known else tensor
            for name, tensor in tensors.items()
        }
        self.model.load_state_dict(fitting)

    @torch.no_grad()
    def _load_ema_weights(self, means: list[Tensor], tensors: dict[str, Tensor]) -> None:
        names = (name for name, _ in self.model.named_parameters())
        for name, mean in zip(names, means, strict=True):
            mean.copy_(shard_like(mean, tensors[name]))

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        """Tensors by `index.name`; the optimizer's settings come from the params instead."""
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
            # The fused step walks weight and moments in memory order, so both need the same layout.
            fits = value.shape == weight.shape
            one = torch.empty_like(weight).copy_(shard_like(weight, value)) if fits else value
            state.setdefault(int(index), {})[name] = one
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def check_checkpoint(folder: Path) -> None:
    """Compare every file of a checkpoint with its manifest.

    Raises:
        ValueError: A file is missing or altered; the message names it.
    """
    try:
        digests = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        altered = [name for name, digest in digests.items() if sha256_of(folder / name) != digest]
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder} is not a complete checkpoint: {error}") from error
    if altered:
        raise ValueError(f"{folder} is damaged: {', '.join(altered)} does not match its sha256")
