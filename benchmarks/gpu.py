"""What a GPU does with the networks for 2048x2048: one table, and with --json one object.

    python benchmarks/gpu.py --json                       # on a GPU, within 8 minutes
    python benchmarks/gpu.py --size tiny --device cpu     # whether it runs, in seconds

It needs torch, numpy, safetensors and einops only; with diffusers it also measures its networks.
Weights are random: speed does not depend on them. Each part runs in a process of its own. One that
fails, or takes too long, gives a row with its error, and the others go on; the exit code is then 1.

--size NAME      full (the preset model-2048x2048) or tiny (model-tiny).
--device NAME    cuda or cpu; by default cuda.
--only PART      One part; may be given several times.
--minutes N      Time for all parts; those that no longer fit are left out.
--json           One JSON object as the last line.
"""

import argparse
import functools
import json
import multiprocessing
import platform
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch

from benchmarks.parts.gpu import basics, ddp, drawing, peers, training
from benchmarks.parts.gpu.rows import Row, as_json, failure, left_out, table
from benchmarks.parts.gpu.sizes import Size, size_of
from benchmarks.shared.checkout import commit

Part = Callable[[Size, torch.device], Iterator[Row]]

# In this order; the seconds end a part that hangs.
PARTS: dict[str, tuple[Part, int]] = {
    "ceilings": (basics.ceilings, 40),
    "precision": (basics.precision, 60),
    "unet_step": (functools.partial(training.unet_steps, compiled=False), 90),
    "autoencoder_step": (functools.partial(training.autoencoder_steps, compiled=False), 90),
    "decoding": (drawing.decoding, 60),
    "pictures": (functools.partial(drawing.pictures, compiled=False), 90),
    "ddp_of_one": (ddp.ddp_of_one, 60),
    "unet_step_compiled": (functools.partial(training.unet_steps, compiled=True), 150),
    "pictures_compiled": (functools.partial(drawing.pictures, compiled=True), 150),
    "autoencoder_step_compiled": (
        functools.partial(training.autoencoder_steps, compiled=True),
        150,
    ),
    "peer_unet_step": (functools.partial(peers.unet_peer, compiled=False), 60),
    "peer_autoencoder_step": (functools.partial(peers.autoencoder_peer, compiled=False), 60),
    "peer_unet_step_compiled": (functools.partial(peers.unet_peer, compiled=True), 120),
}
MIN_SECONDS = 10  # less is not worth a start


def main() -> int:
    args = _arguments()
    if args.device == "cuda" and not torch.cuda.device_count():
        print("error: torch sees no GPU; --device cpu --size tiny shows whether it runs")
        return 4
    rows, facts = [], machine(args.device)
    print(f"Device: {facts['device']}, torch {facts['torch']}", file=sys.stderr, flush=True)
    end = time.monotonic() + 60 * args.minutes
    for name in args.only or PARTS:
        left = end - time.monotonic()
        if reason := _reason_to_leave_out(name, args.device, left):
            rows.append(left_out(name, reason))
            continue
        began = time.monotonic()
        rows += run_part(name, args.size, args.device, min(left, PARTS[name][1]))
        print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    print(table(rows))
    if args.json:
        print(json.dumps(as_json(rows, size=args.size, machine=facts)))
    return int(any(row.failed for row in rows))


def run_part(name: str, size: str, device: str, seconds: float) -> list[Row]:
    """Run a part in a process of its own; its rows, the last one an error if it failed."""
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_measure_part, args=(name, size, device, sender), daemon=True)
    process.start()
    sender.close()
    rows, end = [], time.monotonic() + seconds
    while True:
        if not receiver.poll(max(0.0, end - time.monotonic())):
            process.kill()
            rows.append(failure(name, f"took more than {seconds:.0f} s"))
            break
        try:
            row = receiver.recv()
        except EOFError:
            process.join()
            rows.append(failure(name, f"its process ended with code {process.exitcode}"))
            break
        if row is None:
            break
        rows.append(row)
    process.join()
    return rows


def _measure_part(name: str, size: str, device: str, rows: Connection) -> None:
    """Send the rows of a part, then None. Runs in the process of the part."""
    try:
        for row in PARTS[name][0](size_of(size), torch.device(device)):
            rows.send(row)
    except Exception as error:  # noqa: BLE001 - it becomes a row
        rows.send(failure(name, error))
    rows.send(None)


def _reason_to_leave_out(name: str, device: str, seconds: float) -> str:
    if name.startswith("peer") and find_spec("diffusers") is None:
        return "diffusers is not installed"
    if name.endswith("_compiled") and device == "cpu":
        return "compilation is measured on a GPU only"
    return "no time is left (--minutes)" if seconds < MIN_SECONDS else ""


def machine(device: str) -> dict[str, object]:
    """Commit, device and versions."""
    facts: dict[str, object] = {"git": commit(), "torch": torch.__version__}
    facts |= {"cuda": torch.version.cuda, "python": platform.python_version()}
    facts["diffusers"] = find_spec("diffusers") is not None
    if device == "cpu":
        return {"device": f"CPU, {platform.machine()}", **facts}
    found = torch.cuda.get_device_properties(0)
    return {"device": found.name, "gib": round(found.total_memory / 2**30, 1), **facts}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    return parser.parse_args()


# A server imports everything once without touching the GPU, and each part is a fork of it.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["benchmarks.gpu"])

if __name__ == "__main__":
    sys.exit(main())
