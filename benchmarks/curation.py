"""How fast curation and shards are, against peers, in one table.

    .venv/bin/python benchmarks/curation.py --json

Args of the command:
    --only NAME  One part; may be given several times.
    --quick      Small sizes and one round: whether it runs, in seconds. Its figures mean nothing.
    --json       One JSON object as the last line.
    --any-load   Measure although others use the machine; table and JSON then say so.
"""

import argparse
import importlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from benchmarks.common import Ratio, as_json, load, machine, table

PARTS = ("judging", "reading", "writing", "duplicates")


def main() -> None:
    args = _arguments()
    begin, cores = load(), os.cpu_count() or 1
    if begin > cores and not args.any_load:
        sys.exit(f"error: a load of {begin} on {cores} cores; wait, or mark the table: --any-load")
    logging.getLogger().setLevel(logging.ERROR)
    lines: list[Ratio] = []
    for name in args.only or PARTS:
        part = importlib.import_module(f"benchmarks.{name}")
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
            lines += part.measure(part.QUICK if args.quick else part.FULL, Path(folder))
    marks = _marks(begin, load(), cores, args.quick)
    print(table(lines))
    print("\n" + marks)
    if args.json:
        facts = {"quick": args.quick, "load": [begin, load()], "marks": marks}
        print(json.dumps(as_json(lines, **facts, machine=machine())))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Speed of curation and shards, against peers.")
    parser.add_argument("--only", action="append", choices=PARTS)
    parser.add_argument("--quick", action="store_true", help="whether it runs; no true figures")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--any-load", action="store_true", help="measure on a busy machine, too")
    return parser.parse_args()


def _marks(begin: float, end: float, cores: int, quick: bool) -> str:
    """A sentence on how far the figures can be believed."""
    said = f"Load {begin} before, {end} after, on {cores} cores"
    busy = "; OTHERS USED THE MACHINE, seconds by the clock are too long" if begin > cores else ""
    return f"{said}{busy}.{' QUICK: sizes are too small for true figures.' if quick else ''}"


if __name__ == "__main__":
    main()
