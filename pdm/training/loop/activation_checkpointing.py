"""Activation checkpointing: blocks forget what happened within them, and do it again on the way
back. It costs a forward pass and saves most of the memory; dropout draws the same again."""

import contextlib
import functools
from collections.abc import Iterator

from torch import nn
from torch.nn.utils import parametrize
from torch.utils.checkpoint import checkpoint


def blocks_of(model: nn.Module) -> list[nn.Module]:
    """The parts of a network that are recomputed, and sharded, one by one: its `block_types`.

    Raises:
        ValueError: The network declares none.
    """
    kinds: tuple[type[nn.Module], ...] = getattr(model, "block_types", ())
    if not kinds:
        raise ValueError(f"{type(model).__name__} declares no block_types; name its blocks there")
    return [module for module in model.modules() if isinstance(module, kinds)]


def checkpoint_activations(model: nn.Module) -> None:
    """Make each block of the model forget. Copies of the model must be made before.

    The result is the same to the bit, except where a block with spectral norm runs several times in
    one step: its estimate of the norm is then that of the last time.
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
    """Spectral norms go one iteration on at each pass; the second pass must see the first's."""
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
