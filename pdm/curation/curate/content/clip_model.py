"""A CLIP-like network from a file of the user's: it embeds images and texts in one space.

The file is a TorchScript archive with two methods, two attributes and one extra file:

    encode_image(images)  float32 (B, 3, image_px, image_px), RGB in [0, 1] -> (B, D)
    encode_text(tokens)   int64 (B, num_tokens), padded with 0 after the end -> (B, D)
    image_px, num_tokens  int: 224 and 77 for CLIP's ViT-B/32
    merges.txt            the merges of CLIP's tokenizer, as its authors published them

`docs/decisions/content.md` describes how to write one from a published model. Nothing is ever
downloaded; the params contain the sha256 of the file.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from pdm.curation.curate.content.clip_tokenizer import ClipTokenizer
from pdm.data.pixels import Pixels
from pdm.errors import BadInput, Unavailable
from pdm.files import sha256_of

Embeddings = NDArray[np.float32]  # (N, D), of length 1

MERGES = "merges.txt"
TRIAL_TEXT = "a photo"
# What TorchScript raises for other files. Its own errors are RuntimeErrors.
LOAD_ERRORS = (RuntimeError, AttributeError, TypeError, ValueError, IndexError)


class ClipModel:
    """The network and its tokenizer.

    Args:
        path: The file.
        sha256: Of the file.

    Raises:
        Unavailable: The file does not exist.
        BadInput: Its sha256 differs, or it is not as described above.
    """

    def __init__(self, path: Path, sha256: str) -> None:
        _check_digest(path, sha256)
        try:
            extra = {MERGES: ""}
            network = torch.jit.load(path, map_location="cpu", _extra_files=extra)
            self._network: nn.Module = network.eval()
            self._tokens = ClipTokenizer(_text(extra[MERGES]))
            self._image_px, self._num_tokens = int(network.image_px), int(network.num_tokens)
            image = torch.zeros(1, 3, self._image_px, self._image_px)
            widths = self._encode("encode_image", image).shape, self.embed_texts([TRIAL_TEXT]).shape
            if widths[0] != widths[1]:
                raise ValueError(f"it encodes images as {widths[0]}, but texts as {widths[1]}")
        except LOAD_ERRORS as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise BadInput(
                f"curate.content: {path} cannot be used for images and texts ({reason}); "
                "docs/decisions/content.md describes the file"
            ) from error

    def embed_image(self, image: Pixels) -> Embeddings:
        """(1, D): the mean over squares that cover the image (H, W, 3)."""
        squares = torch.stack([self._square(part) for part in _squares(image)])
        vectors = self._encode("encode_image", squares)
        return F.normalize(vectors.mean(dim=0, keepdim=True)).numpy()

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """(N, D). Texts that are too long are truncated."""
        tokens = torch.zeros(len(texts), self._num_tokens, dtype=torch.int64)
        for row, text in zip(tokens, texts, strict=True):
            ids = self._tokens(text)
            ids[self._num_tokens - 1 :] = ids[self._num_tokens - 1 :][-1:]
            row[: len(ids)] = torch.tensor(ids)
        return self._encode("encode_text", tokens).numpy()

    def _square(self, part: Pixels) -> Tensor:
        planes = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None].float() / 255
        size = (self._image_px, self._image_px)
        # As CLIP prepares images, with Pillow's cubic filter.
        resized = F.interpolate(planes, size, mode="bicubic", antialias=True)
        return resized[0].clamp(0, 1)

    @torch.no_grad()
    def _encode(self, method: str, values: Tensor) -> Tensor:
        # Unoptimised: TorchScript rewrites a module after its first calls, so that the first images
        # would be rounded otherwise than the rest.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            vectors: Tensor = getattr(self._network, method)(values)
        return F.normalize(vectors.float().reshape(len(values), -1))


@lru_cache(maxsize=1)
def load_clip_model(path: Path, sha256: str) -> ClipModel:
    """Load `ClipModel`, once per process."""
    return ClipModel(path, sha256)


def _squares(image: Pixels) -> list[Pixels]:
    """The fewest squares along the longer side that cover the image; they may overlap."""
    height, width = image.shape[:2]
    side = min(height, width)
    count = -(-max(height, width) // side)
    lefts = np.linspace(0, width - side, count).round().astype(int)
    tops = np.linspace(0, height - side, count).round().astype(int)
    return [image[t : t + side, x : x + side] for t, x in zip(tops, lefts, strict=True)]


def _check_digest(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise Unavailable(
            f"curate.content: {path} (sha256 {sha256}) does not exist; put the file there, or set "
            "curate.content to null"
        )
    if (actual := sha256_of(path)) != sha256:
        raise BadInput(
            f"curate.content: {path} has sha256 {actual}, but params.yaml says {sha256}; name the "
            "right file, or correct the sha256"
        )


def _text(content: str | bytes) -> str:
    return content.decode("utf-8") if isinstance(content, bytes) else content
