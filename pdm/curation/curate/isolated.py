"""Judges pictures in a process of their own, so that no file can take a worker with it.

    with_faults = judge_rows(rows, raw, config)

A decoder that crashes, or does not end, costs its own picture and the start of another process
(about two seconds): the picture is dropped as `decoder_crash` or `decode_timeout`, the others are
judged as if it had not been there. The process is kept for later calls and ends with its parent.
"""

import atexit
import os
import pickle
import selectors
import struct
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import cv2
import torch

from pdm.config.curate import CurateConfig
from pdm.curation.curate.judge import decide, faulty, judge_row
from pdm.data.decisions import DECIDED, Row
from pdm.errors import Unavailable

CHILD = (
    "import sys; from pdm.curation.curate import isolated; "
    "isolated.serve(sys.stdin.buffer, sys.stdout.buffer)"
)
START_SECONDS = 120.0  # imports on a machine that is busy
LENGTH = struct.Struct(">Q")
# Not `-m`, which warns of a module that its own package imports.
CHILD = f"import sys; from {__name__} import serve; serve(sys.stdin.buffer, sys.stdout.buffer)"


def judge_rows(rows: list[Row], raw: Path, config: CurateConfig) -> list[Row]:
    """`judge_row` for each row, in order, each within `config.decode_seconds`.

    Raises:
        Unavailable: The process cannot be started.
    """
    judge = _process(os.getpid())
    return [judge(row, raw, config) for row in rows]


class IsolatedJudge:
    """One child process that judges a picture at a time."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, row: Row, raw: Path, config: CurateConfig) -> Row:
        """The columns decided for a row; a fault of the decoder is one of them."""
        child = self._started()
        try:
            judged: Row = _ask(child, (row, raw, config), config.decode_seconds)
        except TimeoutError:
            self.close()
            detail = f"Reading and measuring it took more than {config.decode_seconds:g} seconds."
            return _fallen(row, "decode_timeout", detail, config)
        except (EOFError, BrokenPipeError):
            code = child.wait()
            self.close()
            detail = f"The process that decoded it ended with code {code}."
            return _fallen(row, "decoder_crash", detail, config)
        return judged

    def close(self) -> None:
        """End the process; the next call starts another."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            command = [sys.executable, "-c", CHILD]
            self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                _receive(self._child, START_SECONDS)
            except (TimeoutError, EOFError) as error:
                self.close()
                raise Unavailable(f"a process for decoding did not start: {command}") from error
        return self._child


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer until the other side closes; what runs in the child process, on one core."""
    cv2.setNumThreads(1)  # as many of these run as there are cores
    torch.set_num_threads(1)
    _write(answers, "ready")
    while head := requests.read(LENGTH.size):
        row, raw, config = pickle.loads(requests.read(*LENGTH.unpack(head)))
        _write(answers, judge_row(row, raw, config))


@lru_cache(maxsize=1)
def _process(parent: int) -> IsolatedJudge:
    """One for each process: a forked worker must not share its parent's pipes."""
    judge = IsolatedJudge()
    atexit.register(judge.close)
    return judge


def _fallen(row: Row, fault: str, detail: str, config: CurateConfig) -> Row:
    fallen = dict.fromkeys(DECIDED) | faulty(fault, detail)
    return {"key": row["key"]} | fallen | decide(fallen, config)


def _ask(child: subprocess.Popen[bytes], request: object, seconds: float) -> Any:
    assert child.stdin is not None
    _write(child.stdin, request)
    return _receive(child, seconds)


def _write(pipe: IO[bytes], message: object) -> None:
    body = pickle.dumps(message)
    pipe.write(LENGTH.pack(len(body)) + body)
    pipe.flush()


def _receive(child: subprocess.Popen[bytes], seconds: float) -> Any:
    """The child's next message. Raises TimeoutError, or EOFError if it has ended."""
    assert child.stdout is not None
    deadline = time.monotonic() + seconds
    (length,) = LENGTH.unpack(_read(child.stdout, LENGTH.size, deadline))
    return pickle.loads(_read(child.stdout, length, deadline))


def _read(pipe: IO[bytes], num_bytes: int, deadline: float) -> bytes:
    content = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(content) < num_bytes:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            part = os.read(pipe.fileno(), num_bytes - len(content))
            if not part:
                raise EOFError
            content += part
    return content
