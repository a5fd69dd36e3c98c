"""Meters: means of losses over the steps between two log lines, speed, and where time went."""

import contextlib
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from pdm.training.distributed.workers import Workers
from pdm.training.monitoring.cost.utilisation import matrix_rate

TIMED = ("data_wait", "logging", "saving", "scoring")  # names that `timing` accepts


class Meters:
    """Collects values on the device, without synchronising until the means are read.

    Args:
        device: Device of the training.
        dtype: Precision of most of its computation.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._flops_per_image: float | None = None
        self._rate = 1.0  # of the device, in FLOPs per second
        self._reset()

    def add(self, losses: dict[str, Tensor]) -> None:
        """Add the losses of one micro-batch; a vector is logged as name_0, name_1, ...

        An entry that is NaN does not count: there was nothing to measure.
        """
        for name, value in losses.items():
            for suffix, entry in _entries(value.detach()):
                self._sums.setdefault(name + suffix, []).append(entry)

    @contextlib.contextmanager
    def timing(self, what: str) -> Iterator[None]:
        """Count the time of the block as spent on one of `TIMED`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._spent[what] += time.perf_counter() - began

    def set_flops(self, flops_per_image: float) -> None:
        """Set the training's FLOPs per image, and measure the device's rate to compare with."""
        self._flops_per_image = flops_per_image
        self._rate = matrix_rate(self.device, self.dtype)

    def count(self, images: int, **values: Tensor) -> None:
        """Count a finished step of `images` images, over all workers."""
        self._images += images
        self.add(values)

    def read(self, workers: Workers) -> dict[str, float]:
        """Return means over the workers and the steps since the last call, the speed, and the cost
        summed over the workers: seconds of busy CPU cores and of reserved GPUs.

        `flops_utilisation` is the FLOPs per second of the training's convolutions and matrix
        products, as a share of the rate of a large matrix product on this device, measured before
        the first step. It is left out if the FLOPs are not known.
        """
        seconds = time.perf_counter() - self._began
        names = sorted(self._sums)
        sums, counts = _sums([torch.stack(self._sums[name]).float() for name in names])
        worked = sums.new_tensor([time.process_time() - self._worked])
        together = workers.mean(torch.cat([sums, counts, worked]))
        means = together[: len(names)] / together[len(names) : -1]
        values = dict(zip(names, means.tolist(), strict=True))
        speed = self._images / seconds
        values["images_per_second"] = speed
        if self._flops_per_image is not None:
            rate = self._rate * workers.count
            values["flops_utilisation"] = self._flops_per_image * speed / rate
        values |= {f"{what}_fraction": spent / seconds for what, spent in self._spent.items()}
        values["cpu_seconds"] = float(together[-1]) * workers.count
        on_gpus = workers.device.type == "cuda"
        values["gpu_seconds"] = seconds * workers.count if on_gpus else 0.0
        self._reset()
        return values

    def _reset(self) -> None:
        self._sums: dict[str, list[Tensor]] = {}
        self._spent = dict.fromkeys(TIMED, 0.0)
        self._images, self._began = 0, time.perf_counter()
        self._worked = time.process_time()


def _sums(values: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the sum and the number of the entries of each that are not NaN."""
    sums = torch.stack([one.nansum() for one in values])
    counts = torch.stack([(~one.isnan()).sum() for one in values]).to(sums.dtype)
    return sums, counts


def _entries(value: Tensor) -> list[tuple[str, Tensor]]:
    if value.ndim == 0:
        return [("", value)]
    return [(f"_{index}", entry) for index, entry in enumerate(value)]
