"""Judges images in a child process, so that no file can crash a worker.

    decisions = judge_rows(rows, raw, config)

If a decoder crashes or hangs, only its image is dropped (`decoder_crash`, `decode_timeout`), and
another process is started, in about two seconds. The process is reused by later calls and ends with
its parent.
This module imports no torch: the child has it, and a worker on each core needs no second one.

A hostile file may take over the process that decodes it, so its answers are never unpickled:
messages are JSON, preceded by their length, and an answer is accepted only if it has the columns
and types of a judged row.
"""

import atexit
import dataclasses
import json
import os
import selectors
import struct
import subprocess
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import IO

import pyarrow as pa

from pdm.config.stages.curate import ContentModelConfig, CurateConfig
from pdm.curation.curate.content.choice import model_of
from pdm.curation.curate.rules import decide
from pdm.data import decisions
from pdm.data.decisions import Row, faulty
from pdm.errors import Unavailable

# Not `-m`, which warns about a module that its own package imports.
CHILD = "from pdm.curation.curate.isolated_process import serve; serve()"
START_SECONDS = 120.0  # for imports on a busy machine
LENGTH = struct.Struct(">Q")
MAX_ANSWER_BYTES = 2**20  # usually about 3 KB
READY = "ready"

REQUEST_COLUMNS = ("key", "tar", "offset", "size", "sha256")
DAMAGED_COLUMNS = {"key", "outcome", "reason", "detail"}  # of an image whose bytes are damaged
JUDGED = pa.schema([("key", pa.string()), *decisions.JUDGED.items()])
BINARY = tuple(name for name, kind in decisions.JUDGED.items() if kind == pa.binary())


class BadAnswer(ValueError):
    """The child's answer is not a judged row."""


def judge_rows(rows: list[Row], raw: Path, config: CurateConfig) -> list[Row]:
    """`judge_row` for each row, in order, each within `config.decode_seconds`.

    Raises:
        Unavailable: The process cannot be started.
    """
    judge = _judge_of_process(os.getpid())
    return [judge(row, raw, config) for row in rows]


class IsolatedJudge:
    """One child process that judges an image at a time.

    Args:
        program: What the child runs, in Python.
    """

    def __init__(self, program: str = CHILD) -> None:
        self._command = [sys.executable, "-c", program]
        self._child: subprocess.Popen[bytes] | None = None
        self._model: ContentModelConfig | None = None  # what the child has loaded

    def __call__(self, row: Row, raw: Path, config: CurateConfig) -> Row:
        """The decided columns of a row; if the decoder failed, its fault is one of them."""
        child = self._start()
        self._load(child, config)
        try:
            write_message(child.stdin, _dump_request(row, raw, config))
            answer = _receive(child.stdout, config.decode_seconds)
            return _load_answer(answer) | {"key": row["key"]}
        except TimeoutError:
            self.close()
            detail = f"Reading and measuring it took more than {config.decode_seconds:g} seconds."
            return _faulty_row(row, "decode_timeout", detail, config)
        except (EOFError, BrokenPipeError):
            code = child.wait()
            self.close()
            detail = f"The process that decoded it ended with code {code}."
            return _faulty_row(row, "decoder_crash", detail, config)
        except BadAnswer as error:
            self.close()
            detail = f"The process that decoded it gave an invalid answer ({error})."
            return _faulty_row(row, "decoder_crash", detail, config)

    def close(self) -> None:
        """End the process; the next call starts another."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child, self._model = None, None

    def _load(self, child: subprocess.Popen[bytes], config: CurateConfig) -> None:
        """Have the child load the user's network before the first image, whose time is limited."""
        model = model_of(config)
        if model is None or model == self._model:
            return
        try:
            write_message(child.stdin, json.dumps([None, "", dataclasses.asdict(config)]).encode())
            _receive(child.stdout, START_SECONDS)
        except (TimeoutError, EOFError, BrokenPipeError, BadAnswer) as error:
            self.close()
            raise Unavailable(f"a process for decoding could not load {model.path}") from error
        self._model = model

    def _start(self) -> subprocess.Popen[bytes]:
        """The running child, started if there is none."""
        if self._child is None or self._child.poll() is not None:
            pipe = subprocess.PIPE
            self._child = subprocess.Popen(self._command, stdin=pipe, stdout=pipe)
            try:
                _receive(self._child.stdout, START_SECONDS)
            except (TimeoutError, EOFError, BadAnswer) as error:
                self.close()
                message = f"a process for decoding did not start: {self._command}"
                raise Unavailable(message) from error
        return self._child


@lru_cache(maxsize=1)
def _judge_of_process(pid: int) -> IsolatedJudge:
    """One judge per process: a forked worker must not share its parent's pipes."""
    judge = IsolatedJudge()
    atexit.register(judge.close)
    return judge


def _faulty_row(row: Row, fault: str, detail: str, config: CurateConfig) -> Row:
    """The decided columns of an image that could not be judged."""
    columns = dict.fromkeys(decisions.JUDGED) | faulty(fault, detail)
    return {"key": row["key"]} | columns | decide(columns, config)


def _dump_request(row: Row, raw: Path, config: CurateConfig) -> bytes:
    columns = {name: row[name] for name in REQUEST_COLUMNS}
    return json.dumps([columns, str(raw), dataclasses.asdict(config)]).encode()


def _load_answer(answer: bytes) -> Row:
    """The judged columns.

    Raises:
        BadAnswer: It is not JSON, or not a judged row.
    """
    try:
        row: Row = json.loads(answer)
        if row.keys() not in (DAMAGED_COLUMNS, set(JUDGED.names)):
            raise ValueError(f"its columns are {sorted(row)[:5]}...")
        row |= {name: bytes.fromhex(row[name]) for name in BINARY if row.get(name) is not None}
        pa.Table.from_pylist([row], schema=JUDGED)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise BadAnswer(f"{type(error).__name__}: {error}"[:200]) from error
    return row


def write_message(pipe: IO[bytes] | None, message: bytes) -> None:
    """Write a message, preceded by its length."""
    assert pipe is not None
    pipe.write(LENGTH.pack(len(message)) + message)
    pipe.flush()


def _receive(pipe: IO[bytes] | None, seconds: float) -> bytes:
    """The child's next message.

    Raises:
        TimeoutError: It did not come in time.
        EOFError: The child has ended.
        BadAnswer: It is longer than any answer can be.
    """
    assert pipe is not None
    deadline = time.monotonic() + seconds
    (length,) = LENGTH.unpack(_read(pipe, LENGTH.size, deadline))
    if length > MAX_ANSWER_BYTES:
        raise BadAnswer(f"{length:,} bytes long")
    return _read(pipe, length, deadline)


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
