"""The optimizer, and the settings of each network: weights, learning rate, weight decay."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from pdm.config.training.loop import TrainingConfig
from pdm.training.distributed.sharded import full_tensor
from pdm.training.loop.updates.muon import Muon

DISCRIMINATOR_BETAS = (0.5, 0.9)  # as in LDM's code (arXiv:2112.10752)


@dataclass(frozen=True)
class DiscriminatorTraining:
    """The discriminator, trained against the model in the same steps."""

    network: nn.Module
    learning_rate: float
    start_images: int  # before, its gradients are discarded


@dataclass(frozen=True)
class Optimized:
    """A network that the optimizer trains.

    Args:
        suffix: Suffix of its learning rate and gradient norm in the log.
        weights: Its weights, in the network's order.
        learning_rate: Peak learning rate.
        start_images: Progress at which it starts to learn.
        betas: Betas of Adam.
        orthogonal: Whether Muon may update its matrices. Embeddings are left to AdamW in any case
            (Jordan et al. 2024), since a row gets gradients only when its class is drawn.
        embeddings: Those of the weights that are embeddings.
    """

    suffix: str
    weights: list[nn.Parameter]
    learning_rate: float
    start_images: int
    betas: tuple[float, float]
    orthogonal: bool
    embeddings: frozenset[nn.Parameter]

    def set_learning_rate(self, optimizer: torch.optim.Optimizer, rate: float) -> None:
        """Set the learning rate of this network only."""
        for group in optimizer.param_groups:
            if group["network"] == self.suffix:
                group["lr"] = rate

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Group the weights for the optimizer by weight decay and by use of Muon."""
        parts: dict[tuple[bool, bool], list[nn.Parameter]] = {}
        for weight in self.weights:
            orthogonal = self.orthogonal and weight not in self.embeddings
            parts.setdefault((uses_weight_decay(weight), orthogonal), []).append(weight)
        return [
            {
                "params": weights,
                "weight_decay": weight_decay if decay else 0.0,
                "orthogonal": orthogonal,
                "network": self.suffix,
                "betas": self.betas,
            }
            for (decay, orthogonal), weights in parts.items()
        ]


def uses_weight_decay(weight: nn.Parameter) -> bool:
    """Whether weight decay applies: not to biases, norms and gains, which are vectors."""
    return weight.numel() > max(weight.shape, default=1)


def networks_to_optimize(
    model: nn.Module, config: TrainingConfig, discriminator: DiscriminatorTraining | None
) -> tuple[Optimized, ...]:
    """List the model, without weights that are frozen, and the discriminator if there is one."""
    first, second = config.betas
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    tables = (module for module in model.modules() if isinstance(module, nn.Embedding))
    embeddings = frozenset(cast(nn.Parameter, table.weight) for table in tables)
    mine = Optimized("", weights, config.learning_rate, 0, (first, second), True, embeddings)
    if discriminator is None:
        return (mine,)
    return mine, Optimized(
        "_discriminator",
        list(discriminator.network.parameters()),
        discriminator.learning_rate,
        discriminator.start_images,
        DISCRIMINATOR_BETAS,
        False,
        frozenset(),
    )


def build_optimizer(networks: Sequence[Optimized], config: TrainingConfig) -> torch.optim.Optimizer:
    """Build AdamW, or Muon with AdamW, over all networks."""
    groups = [group for network in networks for group in network.groups(config.weight_decay)]
    kind = Muon if config.optimizer == "muon" else torch.optim.AdamW
    return kind(groups, lr=config.learning_rate, fused=True)


def clip_gradients(weights: Sequence[nn.Parameter], max_norm: float) -> Tensor:
    """Scale gradients down to a norm, as `torch.nn.utils.clip_grad_norm_` does, in few launches.

    Returns:
        Their norm before, a scalar on their device.
    """
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if any(isinstance(gradient, DTensor) for gradient in gradients):
        return full_tensor(nn.utils.clip_grad_norm_(weights, max_norm))
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


def step_unless(skip: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Take a step of `build_optimizer`'s optimizer, unless `skip` is 1; decided on the device.

    Args:
        skip: Scalar on the device, 0 or 1. With 1, weights, moments and counts stay as they are.
        optimizer: All gradients are in its groups.
    """
    # Fused optimizers read these attributes, which are meant for `torch.amp.GradScaler`.
    optimizer.grad_scale, optimizer.found_inf = None, skip  # type: ignore[attr-defined]
    optimizer.step()


def learning_rate_at(
    images_seen: int, peak: float, config: TrainingConfig, start_images: int = 0
) -> float:
    """Learning rate of the step that starts at `images_seen`: a linear warm-up, then the schedule.

    After the warm-up, `cosine` (Loshchilov and Hutter, arXiv:1608.03983, without restarts) and
    `linear` fall to 0 at `total_images`; `inverse_root` falls like 1 / sqrt(images) (Vaswani et
    al., arXiv:1706.03762, section 5.3); `constant` stays at the peak.

    Args:
        images_seen: Images seen before the step.
        peak: Learning rate at the end of the warm-up.
        start_images: Progress at which the network starts to learn, and its warm-up starts.
    """
    seen = images_seen - start_images
    warmed = min(1.0, (seen + config.batch_size) / max(config.warmup_images, 1))
    return peak * warmed * _decay(seen, config.total_images - start_images, config)


def _decay(seen: int, total: int, config: TrainingConfig) -> float:
    """Fraction of the peak that the schedule leaves."""
    warmup = config.warmup_images
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "inverse_root":
        return math.sqrt(warmup / max(seen + config.batch_size, warmup))
    share = min(1.0, max(0.0, (total - seen) / max(total - warmup, config.batch_size)))
    return share if config.schedule == "linear" else (1 - math.cos(math.pi * share)) / 2
