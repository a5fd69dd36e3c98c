"""All that a training run carries from one step to the next.

`pdm.training.copies` says what the folder holds that it is kept in. No random state is kept:
randomness follows from the position (`pdm.training.seeds`).
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from pdm.config.common import TrainingConfig
from pdm.files import sha256_of
from pdm.training.copies import MANIFEST, HostMemory, StateCopy

RIVAL_BETAS = (0.5, 0.9)  # of LDM's discriminators (arXiv:2112.10752, its code)


@dataclass(frozen=True)
class Rival:
    """A second network, trained against the model in the same steps."""

    network: nn.Module
    learning_rate: float
    start_images: int  # until then it does not learn, whatever its gradients


class TrainState:
    """Model, its running average, optimizer and progress; and the rival, if there is one.

    Args:
        model: The network under training, on its device.
        config: Learning rate and weight decay are read here.
        rival: Only the optimizer and the checkpoints know it; it has no average.
    """

    def __init__(
        self, model: nn.Module, config: TrainingConfig, rival: Rival | None = None
    ) -> None:
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False).eval()
        self.networks = {"model": self.model, "average": self.average}
        groups = [
            {
                "params": list(model.parameters()),
                "peak": config.learning_rate,
                "start_images": 0,
                "norm": "grad_norm",
            }
        ]
        if rival is not None:
            self.networks["rival"] = rival.network
            groups.append(
                {
                    "params": list(rival.network.parameters()),
                    "peak": rival.learning_rate,
                    "start_images": rival.start_images,
                    "norm": "grad_norm_rival",
                    "betas": RIVAL_BETAS,
                }
            )
        self.optimizer = torch.optim.AdamW(
            groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.images_seen = 0  # over all workers
        self._memory = HostMemory()

    @torch.no_grad()
    def step_average(self, half_life_images: int, batch_size: int) -> None:
        """Count one more batch, and move the average towards the model by that much.

        After n steps the average is the mean of the n models, each weighing half as much as one
        `half_life_images` later: normalised from the start, so that the initial weights, which
        saw no image, have no part in it.
        """
        self.images_seen += batch_size
        keep = 0.5 ** (batch_size / half_life_images)
        weight = (1 - keep) / (1 - keep ** (self.images_seen / batch_size))
        for mean, latest in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(latest, weight)
        for kept, buffer in zip(self.average.buffers(), self.model.buffers(), strict=True):
            kept.copy_(buffer)

    def copy(self) -> StateCopy:
        """All of it on the CPU; the next call overwrites what this one returned."""
        files = {name: network.state_dict() for name, network in self.networks.items()}
        files["optimizer"] = self._optimizer_tensors()
        return StateCopy(self._memory.copy(files), self.images_seen)

    def save(self, folder: Path) -> None:
        """Write the folder, whole or not at all."""
        self.copy().write(folder)

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote.

        Raises:
            ValueError: A file is missing, altered or no safetensors, or is of another model.
        """
        check(folder)
        try:
            for name, network in self.networks.items():
                network.load_state_dict(load_file(folder / f"{name}.safetensors"))
            self._load_optimizer(load_file(folder / "optimizer.safetensors"))
        except (RuntimeError, KeyError, IndexError, OSError, SafetensorError) as error:
            said = " ".join(str(error).split())
            raise ValueError(f"{folder} does not fit the model: {said}") from error
        self.images_seen = json.loads((folder / "state.json").read_text())["images_seen"]

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
            fits = torch.empty_like(weight).copy_(value) if value.shape == weight.shape else value
            state.setdefault(int(index), {})[name] = fits
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def check(folder: Path) -> None:
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
