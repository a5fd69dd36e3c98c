"""How much of each level of a pyramid the coarser levels already say.

The redundancy of a level is the share of its variance that a linear map from the coarser levels
explains. A map is fitted by ridge regression on training pictures and scored on held-out ones. It
sees the cell of each coarser level that holds the place, and that cell's neighbours in the next
coarser level; every place within the cell has coefficients of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from pdm.models.pyramid import Pyramid

RIDGES = (1e-3, 1e-2, 1e-1, 1.0)  # strengths, relative to the number of cells; the best one counts
SMALLEST_VARIANCE = 1e-12


@dataclass
class _Sums:
    """Sums over cells that a regression of targets on inputs follows from."""

    inputs: Tensor  # (F, F), with a constant 1 as the last input
    products: Tensor  # (F, T)
    squares: Tensor  # (T,) of the targets
    cells: int


def redundancies(training: Iterable[Pyramid], held_out: Iterable[Pyramid]) -> list[float]:
    """Give the redundancy of each level, coarse to fine; 0 for the first.

    Args:
        training: Batches of latents to fit the maps on, on the CPU.
        held_out: Batches of latents to score them on.

    Returns:
        Shares from 0 to 1, on held-out pictures. Few training pictures underestimate them.

    Raises:
        ValueError: There is no picture in one of the two.
    """
    fit, test = _sums(training), _sums(held_out)
    return [0.0, *(_explained(one, other) for one, other in zip(fit, test, strict=True))]


def _sums(batches: Iterable[Pyramid]) -> list[_Sums]:
    totals: list[_Sums] | None = None
    for pyramid in batches:
        parts = [_level_sums(pyramid[:index], pyramid[index]) for index in range(1, len(pyramid))]
        totals = [_add(*pair) for pair in zip(totals, parts, strict=True)] if totals else parts
    if totals is None:
        raise ValueError("redundancy needs at least one picture to fit and one to score")
    return totals


def _level_sums(coarser: Sequence[Tensor], level: Tensor) -> _Sums:
    inputs, targets = _inputs(coarser).double(), _targets(level, coarser[-1]).double()
    inputs = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
    return _Sums(inputs.T @ inputs, inputs.T @ targets, targets.square().sum(0), len(inputs))


def _add(one: _Sums, other: _Sums) -> _Sums:
    return _Sums(
        one.inputs + other.inputs,
        one.products + other.products,
        one.squares + other.squares,
        one.cells + other.cells,
    )


def _inputs(coarser: Sequence[Tensor]) -> Tensor:
    """(cells, F): for each cell of the last level, its neighbourhood, and the cells around it."""
    last = coarser[-1]
    rows, columns = last.shape[2:]
    maps = [F.interpolate(level, size=(rows, columns), mode="nearest") for level in coarser[:-1]]
    reach = 0 if rows == columns == 1 else 1
    padded = F.pad(last, (reach,) * 4, mode="replicate") if reach else last
    neighbours = F.unfold(padded, 2 * reach + 1)
    maps.append(neighbours.reshape(len(last), -1, rows, columns))
    return torch.cat(maps, dim=1).movedim(1, 3).flatten(0, 2)


def _targets(level: Tensor, last: Tensor) -> Tensor:
    """(cells, T): all values of the level within each cell of the next coarser one."""
    (count, channels, height, width), (rows, columns) = level.shape, last.shape[2:]
    cells = level.reshape(count, channels, rows, height // rows, columns, width // columns)
    return cells.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(0, 2)


def _explained(fit: _Sums, test: _Sums) -> float:
    mean = test.products[-1] / test.cells
    variance = float((test.squares / test.cells - mean.square()).sum())
    if variance < SMALLEST_VARIANCE:
        return 0.0
    return max(0.0, *(1 - _error(fit, test, ridge) / variance for ridge in RIDGES))


def _error(fit: _Sums, test: _Sums, ridge: float) -> float:
    """Mean squared error on the held-out cells, summed over the targets."""
    scale = fit.inputs.diagonal()[:-1].mean()
    penalty = torch.full_like(fit.inputs[0], ridge) * scale
    penalty[-1] = 0  # the constant is free
    penalty = penalty + 1e-9 * scale  # inputs that never vary
    weights = torch.linalg.solve(fit.inputs + penalty.diag(), fit.products)
    fitted = (weights * (test.inputs @ weights)).sum() - 2 * (weights * test.products).sum()
    return float(fitted + test.squares.sum()) / test.cells
