"""Power-function EMA of a model's weights, whose length can be chosen after training.

An EMA of length sigma at step t weights the model of step s by s^gamma (Karras et al.,
arXiv:2312.02696, section 3.1). Its profile has a standard deviation of sigma times the training so
far, and the initial weights get no weight at all. From snapshots of two such EMAs, saved during
training, an EMA of any other length can be computed, since a sum of EMAs has the sum of their
profiles (section 3.2).
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pdm.errors import BadInput
from pdm.files import atomic_file
from pdm.tensor_file import write_tensors

FOLDER = "ema"  # inside a model's folder; files are named by images seen and length
MAX_LENGTH = 0.28  # uniform weights (gamma = 0) have 1 / sqrt(12) = 0.289


@functools.cache
def gamma_of(length: float) -> float:
    """Return the gamma whose profile s^gamma on [0, 1] has this standard deviation.

    Args:
        length: Above 0, at most `MAX_LENGTH`.
    """
    low, high = 0.0, 2 / length**2  # the deviation falls as gamma rises, below 1 / gamma
    for _ in range(100):
        middle = (low + high) / 2
        deviation = math.sqrt((middle + 1) / (middle + 3)) / (middle + 2)
        low, high = (middle, high) if deviation > length else (low, middle)
    return (low + high) / 2


def decay_at(step: int, length: float) -> float:
    """Return the decay of the EMA at step 1, 2, ...; 0 at the first.

    With it the weights of the steps are exactly the profile's integrals over each of them.
    """
    return float((1 - 1 / step) ** (gamma_of(length) + 1))


def coefficients(
    snapshots: Sequence[tuple[float, float]], *, end: float, length: float
) -> list[float]:
    """Return the factors of the snapshots whose sum is nearest to an EMA of `length` at `end`.

    Least squares between the profiles, in closed form (section C.2 there); they sum to one.

    Args:
        snapshots: (progress, length) of each, in any unit of progress.
        end: Progress at which the EMA ends.
        length: Length of the EMA.
    """
    profiles = [(progress / end, gamma_of(one)) for progress, one in snapshots]
    target = (1.0, gamma_of(length))
    products = torch.tensor(
        [[_product(one, other) for other in profiles] for one in profiles], dtype=torch.float64
    )
    aims = torch.tensor([_product(one, target) for one in profiles], dtype=torch.float64)
    # Neighbouring snapshots are nearly alike, so the matrix is nearly singular.
    factors = torch.linalg.lstsq(products, aims[:, None], driver="gelsd").solution[:, 0]
    return [float(factor) for factor in factors / factors.sum()]


@dataclass(frozen=True)
class Snapshot:
    """An EMA on disk.

    Args:
        images_seen: Progress at which it ends.
        length: Standard deviation of its profile.
        path: Safetensors file with the weights, without buffers.
    """

    images_seen: int
    length: float
    path: Path


def write_snapshot(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Write an EMA's weights in half precision, atomically; one tensor at a time is converted."""
    with atomic_file(path) as temporary:
        write_tensors(temporary, weights, torch.float16)


def snapshot_name(images_seen: int, length: float) -> str:
    """Return the file name of an EMA snapshot."""
    return f"{images_seen:09}-{length}.safetensors"


def snapshots_in(folder: Path) -> list[Snapshot]:
    """List all snapshots in a folder, earliest first."""
    found = []
    for file in sorted(folder.glob("[0-9]*.safetensors")):
        seen, length = file.stem.split("-")
        found.append(Snapshot(int(seen), float(length), file))
    return found


def combine(snapshots: Sequence[Snapshot], *, images_seen: int, length: float) -> dict[str, Tensor]:
    """Combine snapshots into the EMA of that length at `images_seen`, in float32.

    Raises:
        OSError, SafetensorError, RuntimeError: A file is damaged.
    """
    earlier = [one for one in snapshots if one.images_seen <= images_seen]
    profiles = [(one.images_seen, one.length) for one in earlier]
    sums: dict[str, Tensor] = {}
    for one, factor in zip(
        earlier, coefficients(profiles, end=images_seen, length=length), strict=True
    ):
        for name, weight in load_file(one.path).items():
            sums[name] = sums.get(name, torch.zeros(())) + factor * weight.float()
    return sums


def load_ema(model: Path, length: float, images_seen: int | None = None) -> dict[str, Tensor]:
    """Load the weights (not the buffers) of the EMA of that length, in float32.

    Args:
        model: Folder of a model that was trained with `ema_lengths`.
        length: Above 0, at most `MAX_LENGTH`; the nearer to the trained lengths, the more exact.
        images_seen: Where in the training the EMA ends, in images; None for the end of training.

    Raises:
        BadInput: The folder has no EMA snapshots, or none at `images_seen`, or one is damaged.
    """
    snapshots = snapshots_in(model / FOLDER)
    if not snapshots:
        raise BadInput(
            f"{model} has no EMA snapshots; train it with training.ema_lengths set, or set "
            "ema_length to null"
        )
    ends = sorted({one.images_seen for one in snapshots})
    end = ends[-1] if images_seen is None else images_seen
    if end not in ends:
        raise BadInput(
            f"{model} has EMA snapshots at {', '.join(f'{one:,}' for one in ends)} images, but "
            f"none at {end:,}; set images_seen to one of them"
        )
    try:
        return combine(snapshots, images_seen=end, length=length)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BadInput(f"the EMA snapshots of {model} cannot be read: {error}") from error


def earlier_end(model: Path, share: float) -> int:
    """Return the images seen at the snapshots nearest to a share of the training, before its end.

    Args:
        model: Folder of a model that was trained with `ema_lengths`.
        share: Of the training, from 0 to 1.

    Raises:
        BadInput: The folder has no EMA snapshots, or only those of the end.
    """
    ends = sorted({one.images_seen for one in snapshots_in(model / FOLDER)})
    if len(ends) < 2:
        raise BadInput(
            f"{model} has no EMA snapshots from before the end of its training; train it with "
            "training.ema_lengths set and several checkpoints"
        )
    return min(ends[:-1], key=lambda end: abs(end - share * ends[-1]))


def _product(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Integral of the product of two profiles (end, gamma), each of integral one on [0, end]."""
    (end, exponent), (other_end, other_exponent) = one, other
    shorter = min(end, other_end)
    product: float = (
        (exponent + 1)
        * (other_exponent + 1)
        / (exponent + other_exponent + 1)
        * (shorter / end) ** exponent
        * (shorter / other_end) ** other_exponent
        * shorter
        / (end * other_end)
    )
    return product
