"""A toy project: three real stages under real DVC and git."""

import contextlib
import subprocess
import sys
from pathlib import Path

from flows.stages import graph

PARAMS = "first: {value: 1}\nsecond: {value: 2}\nthird: {value: 3}\n"
# Not in their order.
STAGES = """
stages:
  third:
    cmd: python third.py
    deps: [two]
    params: [third]
    metrics: [scores.json: {cache: false}]
  first:
    cmd: python first.py
    params: [first]
    outs: [one.txt]
  second:
    cmd: python second.py
    deps: [one.txt]
    params: [second]
    outs: [two, page.html]
"""
SCRIPTS = {
    "first.py": "open('one.txt', 'w').write('1'); print('first: wrote a one')",
    "second.py": (
        "import pathlib; pathlib.Path('two').mkdir(); print('second: 1 of 1 files, 0:00 left')\n"
        "pathlib.Path('two/contact-sheet.png').write_bytes(b'picture')\n"
        "pathlib.Path('page.html').write_text('page'); print('second: wrote a page')"
    ),
    "third.py": "open('scores.json', 'w').write('{\"near\": {\"distance\": 1.25}}')",
}


def make_toy(folder: Path) -> None:
    """Write the project; none of its stages has run."""
    (folder / "params.yaml").write_text(PARAMS)
    (folder / "dvc.yaml").write_text(STAGES)
    for name, script in SCRIPTS.items():
        (folder / name).write_text(script)
    with contextlib.chdir(folder):
        subprocess.run(["git", "init", "--quiet"], check=True)
        command = [sys.executable, "-m", "dvc", "init", "--quiet"]
        subprocess.run(command, check=True, capture_output=True)


def bring_up_to_date() -> None:
    """Run `dvc repro` in the current folder, without a process that has to import DVC."""
    with graph.repository() as repo:
        repo.reproduce()
