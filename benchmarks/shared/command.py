"""The command line of the benchmarks: measures the parts one after another and prints one table.

--only NAME  Measure only this part; may be repeated.
--quick      Small sizes and one round, in seconds, to test that it runs. The figures mean nothing.
--json       Print one JSON object as the last line.
--any-load   Measure on a busy machine, too; table and JSON then say so.
"""

import argparse
import importlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.shared.machine import load, machine
from benchmarks.shared.ratios import Ratio, as_json, table


def run(description: str, folder: str, parts: tuple[str, ...]) -> None:
    """Measure what the command line asks for.

    Args:
        description: Of the command.
        folder: Package of the parts, in `benchmarks.parts`.
        parts: Its modules with QUICK, FULL and `measure(size, folder)`.
    """
    args = _arguments(description, parts)
    begin, cores = load(), os.cpu_count() or 1
    if begin > cores and not args.any_load:
        sys.exit(f"error: a load of {begin} on {cores} cores; wait, or mark the table: --any-load")
    logging.getLogger().setLevel(logging.ERROR)
    lines: list[Ratio] = []
    for name in args.only or parts:
        part = importlib.import_module(f"benchmarks.parts.{folder}.{name}")
        print(f"measuring: {name} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}-") as scratch:
            lines += part.measure(part.QUICK if args.quick else part.FULL, Path(scratch))
        results = ", ".join(f"{line.key} {line.median:.3g}" for line in lines)
        print(f"so far: {results}", file=sys.stderr, flush=True)  # if a later part fails
    marks = _marks(begin, load(), cores, args.quick)
    print(table(lines))
    print("\n" + marks)
    if args.json:
        facts = {"quick": args.quick, "load": [begin, load()], "marks": marks}
        print(json.dumps(as_json(lines, **facts, machine=machine())))


def _arguments(description: str, parts: tuple[str, ...]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--only", action="append", choices=parts)
    parser.add_argument("--quick", action="store_true", help="test that it runs; no true figures")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--any-load", action="store_true", help="measure on a busy machine, too")
    return parser.parse_args()


def _marks(begin: float, end: float, cores: int, quick: bool) -> str:
    """A sentence about the conditions of the measurement."""
    loads = f"Load {begin} before, {end} after, on {cores} cores"
    busy = "; OTHERS USED THE MACHINE, seconds by the clock are too long" if begin > cores else ""
    return f"{loads}{busy}.{' QUICK: sizes are too small for true figures.' if quick else ''}"
