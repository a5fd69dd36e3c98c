"""Means over the steps between two lines of the log."""

import time

import torch
from torch import Tensor

from pdm.training.workers import Workers


class Meters:
    """Collects on the device, so that nothing waits for it until the means are read."""

    def __init__(self) -> None:
        self._reset()

    def add(self, losses: dict[str, Tensor]) -> None:
        """Count one share's losses; a vector is logged entry by entry, as name_0, name_1, ..."""
        for name, value in losses.items():
            for suffix, entry in _entries(value.detach()):
                self._sums.setdefault(name + suffix, []).append(entry)

    def waited(self, seconds: float) -> None:
        """Count the time spent waiting for data."""
        self._waited += seconds

    def count(self, images: int, **values: Tensor) -> None:
        """Count a finished step of so many images, over all workers."""
        self._images += images
        self.add(values)

    def read(self, workers: Workers) -> dict[str, float]:
        """Means over the workers and the steps since the last call; the speed meanwhile, and what
        was spent, summed over the workers: seconds of computing cores, and of reserved GPUs."""
        seconds = time.perf_counter() - self._began
        names = sorted(self._sums)
        means = torch.stack([torch.stack(self._sums[name]).float().mean() for name in names])
        worked = means.new_tensor([time.process_time() - self._worked])
        *found, core_seconds = workers.mean(torch.cat([means, worked])).tolist()
        values = dict(zip(names, found, strict=True))
        values["images_per_second"] = self._images / seconds
        values["data_wait_fraction"] = self._waited / seconds
        values["cpu_seconds"] = core_seconds * workers.count
        on_gpus = workers.device.type == "cuda"
        values["gpu_seconds"] = seconds * workers.count if on_gpus else 0.0
        self._reset()
        return values

    def _reset(self) -> None:
        self._sums: dict[str, list[Tensor]] = {}
        self._images, self._waited, self._began = 0, 0.0, time.perf_counter()
        self._worked = time.process_time()


def _entries(value: Tensor) -> list[tuple[str, Tensor]]:
    if value.ndim == 0:
        return [("", value)]
    return [(f"_{index}", entry) for index, entry in enumerate(value)]
