"""The command `pyramid networks`: TorchScript files of networks whose weights packages ship.

`evaluate.features` and `autoencoder.perceptual` take such files. Equal weights and an equal version
of torch give equal bytes: paths of the source and times are left out. (Only the first file that a
process makes: torch numbers classes in the order in which it meets them.) A file says in its
`network.json` which network it holds, where the weights are from, and their licence.
"""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from pdm.files import atomic_file, check_output_file, sha256_of
from pdm.models.features.efficientnet_lite import EfficientNetLite
from pdm.models.features.feature_distance import FeatureDistance
from pdm.models.features.published_weights import load_published
from pdm.models.features.variants import LICENCE, variant_named

Purpose = Literal["features", "perceptual"]
ABOUT = "network.json"
WEIGHT = 0.15  # of the perceptual term that is proposed; see docs/decisions/judges.md
TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class NetworkFile:
    """A file that was written, and the lines of params.yaml that name it."""

    path: Path
    sha256: str
    params: str


class Features(nn.Module):
    """The classifier's input, from images as the network wants them."""

    def __init__(self, network: EfficientNetLite) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), standardised, to (B, 1280)."""
        return self.network.features(images)


def make_network(name: str, purpose: Purpose, path: Path | None = None) -> NetworkFile:
    """Write a network as TorchScript.

    Args:
        name: Such as efficientnet-lite0.
        purpose: features: standardised images to vectors. perceptual: two batches of images in
            [-1, 1] to their distances.
        path: Default: NAME-PURPOSE.pt in the working folder.

    Raises:
        BadInput: There is no network of this name, its weights are other ones than expected, or
            the file cannot be written.
        Unavailable: The package that ships its weights is not installed.
    """
    path = path or Path(f"{name}-{purpose}.pt")
    check_output_file(path)
    network = load_published(name)
    module = FeatureDistance(network) if purpose == "perceptual" else Features(network)
    with atomic_file(path) as temporary:
        temporary.write_bytes(_torchscript(module.eval(), _about(name, purpose)))
    digest = sha256_of(path)
    return NetworkFile(path, digest, _params(name, purpose, path, digest))


def network_in(path: Path) -> str | None:
    """The name of the network in a file that `make_network` wrote; None of any other file."""
    try:
        with zipfile.ZipFile(path) as file:
            about = next(name for name in file.namelist() if name.endswith(f"/extra/{ABOUT}"))
            return str(json.loads(file.read(about))["network"])
    except (OSError, zipfile.BadZipFile, StopIteration, ValueError, KeyError, TypeError):
        return None


def _about(name: str, purpose: Purpose) -> dict[str, str]:
    variant = variant_named(name)
    return {
        "network": name,
        "purpose": purpose,
        "package": variant.distribution,
        "weights_sha256": variant.sha256,
        "licence": LICENCE,
        "copyright": "2020 ML Illustrated",
    }


def _params(name: str, purpose: Purpose, path: Path, digest: str) -> str:
    if purpose == "perceptual":
        entry = f"{{path: {path}, sha256: {digest}, weight: {WEIGHT}}}"
        return f"autoencoder:\n  perceptual: {entry}"
    entry = f"{{kind: {name}, path: {path}, sha256: {digest}, convention: clean-fid}}"
    return f"evaluate:\n  features:\n    - {entry}"


def _torchscript(module: nn.Module, about: dict[str, str]) -> bytes:
    """The module as a TorchScript file, without what differs between equal ones: torch adds paths
    of the source (`debug_pkl`), and how code is compressed depends on the library."""
    saved = io.BytesIO()
    extra = {ABOUT: json.dumps(about, sort_keys=True)}
    torch.jit.save(torch.jit.script(module), saved, _extra_files=extra)
    written = io.BytesIO()
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(written, "w") as new:
        for name in old.namelist():
            if not name.endswith((".debug_pkl", "/serialization_id")):
                new.writestr(zipfile.ZipInfo(name, TIME), old.read(name))
    return written.getvalue()
