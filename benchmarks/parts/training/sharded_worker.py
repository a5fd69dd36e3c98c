"""One worker of `sharded_memory`: prints its peak in bytes.

It runs with the code of an earlier commit, too, so it imports nothing of the benchmarks.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, distributed, nn
from torch._C._distributed_c10d import FileStore

import pdm
from pdm import params
from pdm.params.keys import DEFAULT
from pdm.training.checkpoints.run_folder import RunFolder
from pdm.training.distributed.workers import Workers
from pdm.training.loop.state import TrainState
from pdm.training.loop.train import train

STEPS = 4
BATCH = 8


class Stack(nn.Module):
    """Linear layers, each sharded by itself."""

    block_types = (nn.Linear,)

    def __init__(self, width: int, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(num_layers))

    def forward(self, rows: Tensor) -> Tensor:
        """(B, width) to the same shape."""
        for layer in self.layers:
            rows = rows + 0.1 * layer(rows)
        return rows


class Losses(nn.Module):
    """The squared output."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Tensor) -> dict[str, Tensor]:
        return {"loss": self.model(rows).square().mean()}


class Rows:
    """Random rows."""

    def __init__(self, width: int) -> None:
        self.width = width

    def load(self, positions: range) -> tuple[Tensor]:
        return (torch.randn(len(positions), self.width),)

    def keys(self, positions: range) -> list[str]:
        return []


def status_bytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def main() -> None:
    task = json.loads(sys.argv[1])
    assert Path(pdm.__file__).is_relative_to(task["tree"]), pdm.__file__
    torch.set_num_threads(1)
    folder, count = Path(task["folder"]), task["count"]
    store = FileStore(str(folder / "store"), count)
    distributed.init_process_group("gloo", store=store, rank=task["rank"], world_size=count)
    workers = Workers(torch.device("cpu"))
    train_stack(workers, folder / "first", 8, 1)  # what is loaded at first use does not count
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = status_bytes("VmRSS")
    train_stack(workers, folder / "run", task["width"], task["num_layers"])
    print(status_bytes("VmHWM") - before)
    distributed.destroy_process_group()


def train_stack(workers: Workers, folder: Path, width: int, num_layers: int) -> None:
    """Train, with a checkpoint and a score in the middle and at the end."""
    total, probe = STEPS * BATCH, torch.randn(1, width)
    config = replace(
        params.load(DEFAULT).diffusion.training,
        num_workers=workers.count,
        strategy="fsdp",
        batch_size=BATCH,
        total_images=total,
        warmup_images=0,
        log_every_images=total // 2,
        save_every_images=total // 2,
    )
    model = Stack(width, num_layers)
    state = TrainState(model, config)

    def score(state: TrainState, *_: object) -> float:
        return float(state.ema(probe).square().mean())

    run = RunFolder(folder, "rows", config, workers, state.images_seen, score)
    train(state, workers.wrap(Losses(model), config), Rows(width), config, run, workers)


if __name__ == "__main__":
    main()
