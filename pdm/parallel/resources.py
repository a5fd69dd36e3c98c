"""Resources of each worker, decided before Ray is asked for any."""

from typing import Any

import ray

from pdm.errors import Unavailable


def num_gpus() -> int:
    """Number of GPUs of the cluster."""
    return int(sum(node.get("GPU", 0) for node in _alive_nodes()))


def resources_of_worker(
    num_workers: int, setting: str = "training.num_workers"
) -> dict[str, float]:
    """Choose the resources of each worker: a GPU if there are any, and an equal part of the CPUs.

    Args:
        num_workers: Number of workers that run at once.
        setting: What the user sets it by, for the error.

    Raises:
        Unavailable: There are too few; Ray itself would wait for them forever.
    """
    nodes = _alive_nodes()
    use_gpu = any(node.get("GPU") for node in nodes)
    for kind in ("GPU", "CPU") if use_gpu else ("CPU",):
        found = int(sum(node.get(kind, 0) for node in nodes))
        if found < num_workers:
            raise Unavailable(
                f"{setting} is {num_workers}, but the cluster has {found} {kind}s; "
                f"set it to at most {found}, or name a larger cluster in RAY_ADDRESS"
            )
    cpus = max(int(node.get("CPU", 0)) for node in nodes)
    while cpus > 1 and _num_places(nodes, cpus, use_gpu) < num_workers:
        cpus -= 1
    return {"CPU": cpus, "GPU": 1} if use_gpu else {"CPU": cpus}


def _alive_nodes() -> list[dict[str, float]]:
    """Resources of each node that answers."""
    known: list[dict[str, Any]] = ray.nodes()
    return [node["Resources"] for node in known if node["Alive"]]


def _num_places(nodes: list[dict[str, float]], cpus: int, use_gpu: bool) -> int:
    """Number of workers with `cpus` CPUs each that fit on the cluster."""
    places = 0
    for node in nodes:
        by_cpu = int(node.get("CPU", 0)) // cpus
        places += min(by_cpu, int(node.get("GPU", 0))) if use_gpu else by_cpu
    return places
