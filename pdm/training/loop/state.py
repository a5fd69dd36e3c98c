"""The state of a training: everything that one step passes on to the next.

`pdm.training.checkpoints.contents` says what a checkpoint's folder holds. No random state is
saved: randomness follows from the position (`pdm.training.loop.seeds`).
"""

import copy
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import DeviceMesh

from pdm.config.training.loop import TrainingConfig
from pdm.ema import decay_at
from pdm.files import sha256_of
from pdm.models.layers.spectral_norm import rescale_spectral_weights, spectral_weights
from pdm.training.checkpoints.contents import MANIFEST, Contents, HostMemory
from pdm.training.checkpoints.sharded_files import read_into, shapes_in
from pdm.training.distributed.sharded import (
    full_tensor,
    is_to_shard,
    shard_model,
)
from pdm.training.loop.power_iteration import SpectralNorms
from pdm.training.loop.precision import dtype_of
from pdm.training.loop.updates.ema_steps import EmaSteps
from pdm.training.loop.updates.optimizer import (
    DiscriminatorTraining,
    build_optimizer,
    networks_to_optimize,
)
from pdm.training.monitoring.cost.utilisation import copy_to_meta


class TrainState:
    """The model, its EMAs, optimizer and progress; and the discriminator, if there is one.

    With `strategy` "fsdp" and several workers, this class shards the weights, optimizer and EMAs.
    Then all workers must call `save`, `load` and `gather_ema`, and write what `contents` gives
    them.

    Args:
        model: The network under training, on its device.
        config: Settings of the training: strategy, precision, `ema_lengths`, and all of the
            optimizer.
        discriminator: Trained by the same optimizer, and saved; has no EMA.

    Attributes:
        ema: A complete network with the EMA weights; with sharded weights only from `gather_ema`
            to `release_ema`, and otherwise without values (on the meta device).
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainingConfig,
        discriminator: DiscriminatorTraining | None = None,
    ) -> None:
        self.model = model
        whole = copy_to_meta(model) if is_to_shard(config) else copy.deepcopy(model)
        self.ema = whole.requires_grad_(False).eval()
        self.is_sharded = shard_model(model, config)
        # Its own group, since checkpoints are written in a thread.
        self._group = distributed.new_group(backend="gloo") if self.is_sharded else None
        self.discriminator = discriminator.network if discriminator is not None else None
        names = {"ema": 0.0} | {f"ema-{length}": length for length in config.ema_lengths}
        self.lengths = names  # length of each EMA; 0 for the one with a fixed half-life
        self.ema_weights = {
            name: [one.detach().clone() for one in model.parameters()] for name in names
        }
        if not self.is_sharded:
            self.ema_weights["ema"] = list(self.ema.parameters())
        # Layers with sharded weights iterate on their own, where their weight is gathered.
        # Those of a decoder, which runs several times in a pass, iterate each time.
        held = getattr(model, "encoder", model)
        dtype = dtype_of(config)
        self.spectral_norms = None if self.is_sharded else SpectralNorms(model, held, dtype)
        rows = None if self.spectral_norms is None else self.spectral_norms.rows
        self._ema_steps = EmaSteps([*model.parameters()], [*self.ema_weights.values()], rows)
        self.networks = networks_to_optimize(model, config, discriminator)
        self.optimizer = build_optimizer(self.networks, config)
        self.images_seen = 0  # over all workers
        mesh = DeviceMesh.from_group(self._group, "cpu") if self._group is not None else None
        self._memory = HostMemory(mesh)
        self._being_read: Contents | None = None

    def iterate_spectral_norms(self) -> None:
        """Take the power iteration of a pass, before it."""
        if self.spectral_norms is not None:
            self.spectral_norms.iterate()

    def release_divided_weights(self) -> None:
        """End the use of the weights that `iterate_spectral_norms` has divided."""
        if self.spectral_norms is not None:
            self.spectral_norms.release()

    def rescale_spectral_weights(self) -> None:
        """Set weights under spectral norm back to their initial length, after a step."""
        if self.spectral_norms is not None:
            self.spectral_norms.rescale()
        else:
            rescale_spectral_weights(spectral_weights(self.model))

    @torch.no_grad()
    def update_ema(self, half_life_images: int, batch_size: int) -> None:
        """Count one more batch, and update the EMAs.

        After n steps, `ema` is the mean of the n models; one weighs half as much as another that is
        `half_life_images` later. The initial model has no part in it. EMAs with a length are those
        of `pdm.ema`.
        """
        self.images_seen += batch_size
        step = self.images_seen // batch_size
        keep = 0.5 ** (batch_size / half_life_images)
        shares = [
            1 - decay_at(step, length) if length else (1 - keep) / (1 - keep**step)
            for length in self.lengths.values()
        ]
        self._ema_steps.move(shares)
        if not self.is_sharded:
            self._copy_buffers()

    @torch.no_grad()
    def gather_ema(self) -> None:
        """Fill `ema` with its values, if the weights are sharded. All workers must call this, and
        all get them."""
        if not self.is_sharded:
            return
        self.ema.to_empty(device=next(self.model.parameters()).device)
        for kept, mean in zip(self.ema.parameters(), self.ema_weights["ema"], strict=True):
            kept.copy_(full_tensor(mean))
        self._copy_buffers()

    def release_ema(self) -> None:
        """Free the memory that `gather_ema` took."""
        if self.is_sharded:
            self.ema.to("meta")

    def _copy_buffers(self) -> None:
        if buffers := list(self.model.buffers()):
            torch._foreach_copy_(list(self.ema.buffers()), buffers)

    def contents(self) -> Contents:
        """Return the contents of a checkpoint, or this worker's part of them, valid until the next
        call. Write them in another thread, or before the next step, which waits for that."""
        networks = {"model": self.model, "ema": self.model}
        files = {"model": self.model.state_dict()}
        for name, means in self.ema_weights.items():
            names = [one for one, _ in self.model.named_parameters()]
            files[name] = dict(zip(names, means, strict=True))
        files["ema"] = self.model.state_dict() | files["ema"]  # adds the buffers
        if self.discriminator is not None:
            networks["discriminator"] = self.discriminator
            files["discriminator"] = self.discriminator.state_dict()
        files["optimizer"] = self._optimizer_tensors()
        for file, network in networks.items():
            _copy_buffers_among(files[file], network)
        on_gpu = next(self.model.parameters()).is_cuda
        if on_gpu and self._memory.has_room(files):
            return Contents(self._memory.copy(files), self.images_seen, self._group)
        self._being_read = Contents(files, self.images_seen, self._group)
        return self._being_read

    def wait_for_reader(self) -> None:
        """Wait until the last `contents` have been read; call this before weights, moments or EMAs
        change."""
        if self._being_read is not None:
            self._being_read.read.wait()
            self._being_read = None

    def save(self, folder: Path) -> None:
        """Write a checkpoint's folder, atomically."""
        self.contents().write(folder)

    def load(self, folder: Path) -> None:
        """Restore the state that `save` wrote, with any number of workers.

        Raises:
            ValueError: A file is missing, altered, not in safetensors format, or of another model.
        """
        check_checkpoint(folder)
        try:
            self._load_network(self.model, folder, "model")
            if not self.is_sharded:
                self._load_network(self.ema, folder, "ema")
            names = [name for name, _ in self.model.named_parameters()]
            for file, means in self.ema_weights.items():
                read_into(folder, file, dict(zip(names, means, strict=True)), self._group)
            if self.discriminator is not None:
                self._load_network(self.discriminator, folder, "discriminator")
            self._load_optimizer(folder)
        except (RuntimeError, LookupError, ValueError, OSError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise ValueError(f"{folder} does not fit the model: {reason}") from error
        self.images_seen = json.loads((folder / "state.json").read_text())["images_seen"]

    def _load_network(self, network: nn.Module, folder: Path, file: str) -> None:
        tensors = network.state_dict()
        if extra := shapes_in(folder, file).keys() - tensors.keys():
            raise KeyError(f"the network has no {', '.join(sorted(extra))}")
        read_into(folder, file, tensors, self._group)

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        """Tensors by `index.name`; the optimizer's settings come from the params instead."""
        state = self.optimizer.state_dict()["state"]
        return {
            f"{i}.{name}": value for i, values in state.items() for name, value in values.items()
        }

    @torch.no_grad()
    def _load_optimizer(self, folder: Path) -> None:
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        tensors: dict[str, Tensor] = {}
        for key, shape in shapes_in(folder, "optimizer").items():
            index, name = key.split(".")
            weight = weights[int(index)]
            # The fused step walks weight and moments in memory order, so both need the same layout.
            alike = name != "step" and shape == weight.shape
            tensors[key] = torch.empty_like(weight) if alike else torch.empty(shape)
        read_into(folder, "optimizer", tensors, self._group)
        state: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def _copy_buffers_among(tensors: dict[str, Tensor], network: nn.Module) -> None:
    """Replace buffers by copies: forward passes change them, such as those of spectral norms."""
    for name, _ in network.named_buffers():
        if name in tensors:  # it is not, if it is no part of the state
            tensors[name] = tensors[name].clone()


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
