"""The child process of `pdm.curation.curate.isolated`: decodes and judges an image at a time."""

import json
import os
import sys
from functools import lru_cache
from pathlib import Path

import cv2
import torch
from pydantic import TypeAdapter

from pdm.config.stages.curate import CurateConfig
from pdm.curation.curate.content.choice import model_of
from pdm.curation.curate.isolated import BINARY, LENGTH, READY, write_message
from pdm.curation.curate.judge import judge_row, load_networks
from pdm.data.decisions import Row


def serve() -> None:
    """Answer requests until stdin closes. On one core."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries must not print among the answers
    cv2.setNumThreads(1)  # there is one such process per core
    torch.set_num_threads(1)
    load_networks(model=None)
    write_message(answers, json.dumps(READY).encode())
    while head := sys.stdin.buffer.read(LENGTH.size):
        row, raw, config = _load_request(sys.stdin.buffer.read(*LENGTH.unpack(head)))
        if row is None:
            load_networks(model_of(config))
            write_message(answers, json.dumps(READY).encode())
        else:
            write_message(answers, _dump_answer(judge_row(row, raw, config)))


def _load_request(request: bytes) -> tuple[Row | None, Path, CurateConfig]:
    row, raw, config = json.loads(request)
    return row, Path(raw), _config(json.dumps(config))


@lru_cache(maxsize=1)
def _config(as_json: str) -> CurateConfig:
    return TypeAdapter(CurateConfig).validate_json(as_json)


def _dump_answer(row: Row) -> bytes:
    as_text = {name: row[name].hex() for name in BINARY if row.get(name) is not None}
    return json.dumps(row | as_text).encode()
