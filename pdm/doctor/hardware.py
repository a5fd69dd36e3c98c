"""Checks of processors, memory and disk."""

import shutil
from pathlib import Path

import torch

from pdm.config import Params
from pdm.config.training.loop import TrainingConfig
from pdm.doctor.finding import Finding, error, failed, ok, warning
from pdm.errors import PyramidError, Unavailable
from pdm.machine.limits import usable_cpus, usable_memory
from pdm.training.loop.compilation import check_compiler

GIB = 2**30
MIN_FREE_GIB = 3  # what a run with the default params writes, models and caches included


def check_device() -> Finding:
    """Name the device that the models would be trained on."""
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    cpus = usable_cpus()
    if names:
        return ok("device", f"{len(names)} GPU ({', '.join(sorted(set(names)))}), {cpus} CPUs")
    return ok("device", f"no GPU; {cpus} CPU{'s' * (cpus > 1)}")


def check_workers(params: Params) -> Finding:
    """Compare the number of training workers with the devices of this machine."""
    devices, kind = torch.cuda.device_count(), "GPU"
    if not devices:
        devices, kind = usable_cpus(), "CPU"
    for section, training in _trainings(params):
        if training.num_workers > devices:
            text = (
                f"{section}.training.num_workers: {training.num_workers}, but this machine has "
                f"{devices} {kind}{'s' * (devices > 1)}; lower it, or join a cluster (RAY_ADDRESS)"
            )
            return error("workers", text, Unavailable)
    return ok("workers", f"enough {kind}s for training.num_workers")


def check_compilers(params: Params) -> Finding:
    """Look for a compiler, if a training is to be compiled."""
    compiled = [section for section, training in _trainings(params) if training.compile]
    if not compiled:
        return ok("compiler", "not needed: training.compile is false")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        check_compiler(device)
    except PyramidError as fault:
        return failed("compiler", fault)
    return ok("compiler", f"found, for {' and '.join(compiled)}")


def _trainings(params: Params) -> list[tuple[str, TrainingConfig]]:
    return [
        ("autoencoder", params.autoencoder.training),
        ("diffusion", params.diffusion.training),
    ]


def check_memory() -> Finding:
    """Say how much memory is free. What a training needs, `pyramid rehearse` measures."""
    return ok("memory", f"{usable_memory() / GIB:.1f} GiB free")


def check_disk(folder: Path = Path()) -> Finding:
    """Compare the free disk space with what a run of the default params writes."""
    free = shutil.disk_usage(folder).free / GIB
    if free < MIN_FREE_GIB:
        text = f"{free:.1f} GiB free; even the default params need about {MIN_FREE_GIB} GiB"
        return warning("disk", f"{text}; free some")
    return ok("disk", f"{free:.0f} GiB free")
