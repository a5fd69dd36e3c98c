"""Timing on a device: synchronised seconds, peak memory, kernels and the gaps between them."""

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

MIB = 2**20


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """Median seconds of a call, after one that does not count."""
    work()
    found = []
    for _ in range(repeats):
        synchronise(device)
        began = time.perf_counter()
        work()
        synchronise(device)
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def reset_peak(device: torch.device) -> None:
    """Let the peak count from here."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float:
    """Peak memory: of the device since `reset_peak`; on a CPU that of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def memory_note(device: torch.device) -> str:
    """What `peak_gib` counts."""
    return "allocated by torch" if device.type == "cuda" else "the whole process"


@dataclass(frozen=True)
class Launches:
    """What the profiler saw.

    Args:
        count: Kernels and copies on a GPU; on a CPU, operations that no other operation calls.
        busy: Share of the time in which the GPU computed; None on a CPU.
    """

    count: int
    busy: float | None


class Profile:
    """Counts launches between `start` and `stop`."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        on_gpu = [ProfilerActivity.CUDA] if device.type == "cuda" else []
        self._profile = profile(activities=[ProfilerActivity.CPU, *on_gpu])

    def start(self) -> None:
        """Begin, with an idle device."""
        synchronise(self.device)
        self._profile.start()
        self._began = time.perf_counter()

    def stop(self) -> Launches:
        """End when the device has finished, and count."""
        synchronise(self.device)
        seconds = time.perf_counter() - self._began
        self._profile.stop()
        events = self._profile.events()
        if self.device.type == "cpu":
            return Launches(sum(event.cpu_parent is None for event in events), None)
        spans = [
            (event.time_range.start, event.time_range.end)
            for event in events
            if event.device_type == DeviceType.CUDA and not event.is_user_annotation
        ]
        return Launches(len(spans), covered(spans) / 1e6 / seconds)


def covered(spans: list[tuple[float, float]]) -> float:
    """Length that the spans cover together, overlaps counted once."""
    total, last = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, last))
        last = max(last, end)
    return total
