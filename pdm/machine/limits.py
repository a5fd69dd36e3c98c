"""CPUs and memory that this process may use: limits of its container, and other workers beside it.

`os.cpu_count` and `psutil` describe the whole machine. A container on it may have a limit of 8 CPUs
and 64 GiB, in control groups (cgroup), and eight workers on one machine share what there is.
"""

import os
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
CPUS_OF_TASK = "PYRAMID_CPUS_OF_TASK"  # a variable, so that processes that a task starts see it
UNLIMITED = 2**60  # a limit at least this large is how cgroup v1 says that there is none


def num_workers_here() -> int:
    """Number of training workers on this machine, which Ray Train and torchrun name."""
    try:
        return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    except ValueError:
        return 1


def usable_cpus(cgroups: Path = CGROUPS) -> int:
    """CPUs for this process, at least one: those that it may run on, within the container's limit,
    divided by the workers on this machine; in a Ray task at most those that Ray gave it."""
    cpus = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _all_cpus())
    for folder in _own_groups(cgroups):
        cpus = min(cpus, _cpu_limit(folder))
    share = max(1, int(cpus) // num_workers_here())
    return min(share, int(os.environ.get(CPUS_OF_TASK, share)))


def give_task(cpus: int) -> None:
    """Let this process, which runs a Ray task, use this many CPUs, at least one. Ray counts them,
    but lets a task run on all."""
    os.environ[CPUS_OF_TASK] = str(max(1, cpus))


def usable_memory(cgroups: Path = CGROUPS) -> int:
    """Bytes of memory that are free for this process: those of the machine, within the container's
    limit, divided by the workers on this machine."""
    import psutil  # here, since benchmarks/gpu.py runs where it is not installed

    free = int(psutil.virtual_memory().available)
    for folder in _own_groups(cgroups):
        free = min(free, _memory_limit(folder) - _memory_used(folder))
    return max(0, free) // num_workers_here()


def _all_cpus() -> int:
    return os.cpu_count() or 1


def _own_groups(cgroups: Path) -> list[Path]:
    """Folders of the control groups that may limit this process. Inside a container the top folder
    is its own group; elsewhere the limits of all groups above it hold as well."""
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except OSError:
        lines = []
    found = [cgroups, cgroups / "cpu", cgroups / "memory"]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        top = cgroups if not controllers else cgroups / controllers
        own = top / path.lstrip("/")
        found += [own, *(parent for parent in own.parents if parent.is_relative_to(top))]
    return list(dict.fromkeys(found))


def _cpu_limit(folder: Path) -> float:
    words = _words(folder / "cpu.max")  # version 2: quota and period, or "max"
    if not words:
        words = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
    if len(words) != 2 or words[0] == "max" or int(words[0]) <= 0:
        return float("inf")
    return int(words[0]) / int(words[1])


def _memory_limit(folder: Path) -> int:
    for name in ("memory.max", "memory.limit_in_bytes"):
        words = _words(folder / name)
        if words and words[0] != "max":
            return min(int(words[0]), UNLIMITED)
    return UNLIMITED


def _memory_used(folder: Path) -> int:
    """Memory of the group, without cached files that the system gives up when asked."""
    words = _words(folder / "memory.current") or _words(folder / "memory.usage_in_bytes")
    stat = _words(folder / "memory.stat")
    values = dict(zip(stat[::2], stat[1::2], strict=False))
    cached = values.get("inactive_file") or values.get("total_inactive_file") or 0
    return int(words[0]) - int(cached) if words else 0


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii").split()
    except OSError:
        return []
