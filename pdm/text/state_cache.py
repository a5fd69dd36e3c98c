"""A cache of the token states of texts, so that a frozen encoder runs once for each text.

    runs/text/DIGEST/HASH.safetensors     states of up to 1,024 texts, one after the other,
                                          (T, width) float32; the metadata has each text's name
                                          and length

DIGEST is that of encoder, tokenizer and settings; a text's name is its sha256. The file's name is a
hash of its texts' names. Deleting the cache costs only time.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pdm.files import atomic_file
from pdm.progress import Progress

logger = logging.getLogger(__name__)

TEXTS_PER_FILE = 1024
STATES = "states"


class StateCache:
    """Token states by text.

    Args:
        folder: Of one encoder; is created when something is stored.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, tuple[Tensor, int, int]] = {}  # name -> (states, begin, length)
        for path in sorted(folder.glob("*.safetensors")):
            self._add(path)

    def states(self, text: str) -> Tensor:
        """The states (n, width) of a text that is in the cache.

        Raises:
            KeyError: It is not.
        """
        states, begin, length = self._places[name_of(text)]
        return states[begin : begin + length]

    def fill(self, texts: Iterable[str], encode: Callable[[str], Tensor]) -> int:
        """Encode the texts that are not in the cache, and store them; return their number.

        Each file is stored when it is complete, so an interrupted run continues from there.
        """
        different = sorted(set(texts))
        new = [text for text in different if name_of(text) not in self._places]
        progress = Progress("text: encoding", len(new), "captions")
        for start in range(0, len(new), TEXTS_PER_FILE):
            part = new[start : start + TEXTS_PER_FILE]
            states = []
            for text in part:
                states.append(encode(text))
                progress.advance()
            self._store([name_of(text) for text in part], states)
        return len(new)

    def _store(self, names: list[str], states: list[Tensor]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{hashlib.sha256(''.join(names).encode()).hexdigest()}.safetensors"
        metadata = {"names": json.dumps(names), "lengths": json.dumps([len(one) for one in states])}
        with atomic_file(path) as temporary:
            save_file({STATES: torch.cat(states)}, temporary, metadata=metadata)
        self._add(path)

    def _add(self, path: Path) -> None:
        """Take up a file; one that cannot be read is left out, and its texts are encoded again."""
        try:
            with safe_open(path, framework="pt") as file:
                names = json.loads(file.metadata()["names"])
                lengths = json.loads(file.metadata()["lengths"])
                states = file.get_tensor(STATES)
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            logger.warning("text: %s cannot be read (%s); encoding its texts again", path, error)
            return
        begin = 0
        for name, length in zip(names, lengths, strict=True):
            self._places[name] = states, begin, length
            begin += length


def name_of(text: str) -> str:
    """The name of a text in the cache: its sha256."""
    return hashlib.sha256(text.encode()).hexdigest()
