"""Activation checkpointing: blocks drop their activations and recompute them in the backward pass.
It costs a second forward pass and saves most of the memory. Dropout masks are the same both
times."""

import contextlib
import functools
from collections.abc import Iterator

from torch import nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """List the modules of a network that are recomputed, and sharded, one by one: its
    `block_types`.

    Raises:
        ValueError: The network declares no `block_types`.
    """
    kinds: tuple[type[nn.Module], ...] = getattr(model, "block_types", ())
    if not kinds:
        raise ValueError(f"{type(model).__name__} declares no block_types; name its blocks there")
    return [module for module in model.modules() if isinstance(module, kinds)]


def checkpoint_activations(model: nn.Module) -> None:
    """Recompute each block of the model in the backward pass. Copy the model before, not after.

    Results are bit for bit the same, with one exception: a block with spectral norm that runs
    several times in one step is recomputed with the last estimate of the norm.
    """
    for block in blocks_of(model):
        block.forward = functools.partial(
            checkpoint,
            block.forward,
            use_reentrant=False,
            context_fn=functools.partial(_contexts, block),
        )


def _contexts(
    block: nn.Module,
) -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
    return contextlib.nullcontext(), _freeze_spectral_norms(block)


@contextlib.contextmanager
def _freeze_spectral_norms(block: nn.Module) -> Iterator[None]:
    """Keep spectral norms from updating: the recomputation must see those of the first pass."""
    norms = [
        norm
        for module in block.modules()
        if isinstance(module, parametrize.ParametrizationList)
        for norm in module
    ]
    before = [norm.training for norm in norms]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm, training in zip(norms, before, strict=True):
            norm.train(training)
