"""Features from pretrained networks, in files that the user names. Nothing is ever downloaded.

A file is a TorchScript module; its sha256 in the params says which one was meant. `FID` and `KID`
are written for one file only: the Inception of 2015-12-05 as TorchScript, whose digest is known.
Everything else scores under the name of its kind.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pdm.config.stages.evaluate import FeaturesConfig
from pdm.data.pixels import Pixels
from pdm.errors import BadInput, Unavailable
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.features.resize import CONVENTIONS
from pdm.files import sha256_of
from pdm.models.features.efficientnet_lite import DEVIATION, MEAN
from pdm.models.features.variants import VARIANTS

# inception-2015-12-05.pt, NVIDIA's TorchScript translation of the original TensorFlow graph, which
# StyleGAN2-ADA published, clean-fid and k-diffusion use, and k-diffusion pins by this digest.
STANDARD_INCEPTION = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"

AT_ONCE = 16  # pictures at once; a batch has many times as many crops

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
EFFICIENTNET_LITE = ((MEAN / 255,) * 3, (DEVIATION / 255,) * 3)
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of network expects: pictures of this side, less `means`, over `deviations`."""

    side_px: int
    means: tuple[float, float, float]  # on the scale [0, 1], per channel
    deviations: tuple[float, float, float]


KINDS = {
    # (x - 128) / 128 on the scale [0, 255], as in the original graph
    "inception": Kind(299, (128 / 255,) * 3, (128 / 255,) * 3),
    "dinov2": Kind(224, *IMAGENET),  # Stein et al., arXiv:2306.04675
    **{
        name: Kind(variant.side_px, *EFFICIENTNET_LITE) for name, variant in VARIANTS.items()
    },  # `pyramid networks make`
    "clip": Kind(336, *CLIP),  # ViT-L/14@336, Jayasumana et al., arXiv:2401.09603
}


class PretrainedFeatures:
    """Features of a pretrained network, with input resized by a convention.

    Args:
        config: Names the file. A TorchScript module with a part `layers`, as the standard Inception
            is, is called by that part, which does not resize by itself.
        device: Where it computes.

    Raises:
        Unavailable: The file does not exist.
        BadInput: It is another file than was meant, or holds no network for pictures.
    """

    def __init__(self, config: FeaturesConfig, device: torch.device | None = None) -> None:
        # The config has all of them where it names no package's network.
        assert config.kind is not None
        assert config.sha256 is not None
        assert config.convention is not None
        self.kind, self.convention = KINDS[config.kind], config.convention
        self.is_standard_inception = (
            config.kind == "inception" and config.sha256 == STANDARD_INCEPTION
        )
        self.name = f"{config.kind}_{config.convention}"
        self.sha256 = config.sha256
        self._device = device or torch.device("cpu")
        self._module = _loaded(config).to(self._device)
        trial = torch.zeros(1, 3, self.kind.side_px, self.kind.side_px)
        try:
            self.num_features = self._features(trial).shape[1]
        except (RuntimeError, AttributeError, TypeError, IndexError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise BadInput(
                f"evaluate.features: {config.path} cannot compute features of images of "
                f"{self.kind.side_px}x{self.kind.side_px}: {reason}"
            ) from error

    def __call__(self, pictures: Pixels) -> Array:
        """Features (B, num_features) of pictures (B, H, W, 3) of any size."""
        parts = [pictures[start : start + AT_ONCE] for start in range(0, len(pictures), AT_ONCE)]
        return np.concatenate([self._of_some(part) for part in parts])

    def _of_some(self, pictures: Pixels) -> Array:
        resized = CONVENTIONS[self.convention](pictures, self.kind.side_px)
        means, deviations = (
            255 * torch.tensor(values)[:, None, None]
            for values in (self.kind.means, self.kind.deviations)
        )
        return self._features((resized - means) / deviations).double().numpy()

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        # Unoptimised: TorchScript rewrites a module after its first calls, and the first pictures
        # would differ from the others by rounding.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
            features: Tensor = self._module(images.to(self._device))
        return features.flatten(1).cpu()


def _loaded(config: FeaturesConfig) -> nn.Module:
    path = Path(str(config.path))
    if not path.is_file():
        raise Unavailable(
            f"evaluate.features: {path} (sha256 {config.sha256}) does not exist; put the file "
            "there, or remove its entry"
        )
    if (digest := sha256_of(path)) != config.sha256:
        raise BadInput(
            f"evaluate.features: {path} has sha256 {digest}, but params.yaml says {config.sha256}; "
            "name the right file, or correct the sha256"
        )
    try:
        module: nn.Module = torch.jit.load(path, map_location="cpu")
    except RuntimeError as error:
        raise BadInput(f"evaluate.features: {path} is not a TorchScript file ({error})") from error
    module.eval()
    return getattr(module, "layers", module) if config.kind == "inception" else module
