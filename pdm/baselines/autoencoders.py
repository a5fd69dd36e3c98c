"""One door to every autoencoder: made by a config, loaded from whatever model folder.

diffusers is imported only where a first stage of LDM is asked for: it takes seconds.
"""

from pathlib import Path

from pdm import weights
from pdm.config.autoencoder import AutoencoderConfig
from pdm.errors import BadInput
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.codec import Autoencoder


def build_autoencoder(config: AutoencoderConfig) -> Autoencoder:
    """The network that a config names, with random weights."""
    if config.baseline is None:
        return PyramidAutoencoder(config.model)
    from pdm.baselines.first_stage import first_stage

    return first_stage(config.baseline)


def load_autoencoder(folder: Path) -> Autoencoder:
    """Load a model folder, on the CPU and in evaluation mode.

    Raises:
        BadInput: It is missing or damaged, or holds no autoencoder.
    """
    kind = weights.record_of(folder).get("kind")
    if kind == PyramidAutoencoder.__name__:
        return PyramidAutoencoder.from_pretrained(folder)
    from pdm.baselines.first_stage import KLFirstStage, VQFirstStage

    for design in (KLFirstStage, VQFirstStage):
        if kind == design.__name__:
            return design.from_pretrained(folder)
    raise BadInput(f"{folder} holds a {kind}, which is no autoencoder; name another folder")
