"""The sizes that are measured, and their networks with random weights.

The settings are those of the presets `model-2048x2048` and `model-tiny`. A GPU machine may lack
the package that reads presets, so they are kept as JSON beside this file. A test compares both.

    python -m benchmarks.parts.gpu.sizes     # writes the JSON again, after a preset has changed
"""

import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.shared.networks import Network, to_channels_last
from pdm.config.networks.autoencoder_model import AutoencoderModelConfig
from pdm.config.records import from_record
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.config.training.loop import TrainingConfig
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.levels.pyramid import LevelShape
from pdm.models.unet import PyramidUNet

FILE = Path(__file__).with_name("sizes.json")
PRESETS = {"full": "model-2048x2048", "tiny": "model-tiny"}
SCALE_OF_ZEROS = 0.02  # standard deviation of weights that start at zero


@dataclass(frozen=True, kw_only=True)
class Size:
    """What is measured.

    Args:
        autoencoder, diffusion: Settings of the preset; batches are those of one GPU.
        num_steps: Training steps that are timed.
        matrix_side: Side of the matrices of the ceiling.
        copy_mib: Size of the copy of the ceiling.
        tile_px: Side of tiles that are decoded one by one.
        repeats: How often each drawing is timed; the median counts.
        peer_width: Width of diffusers' networks; None for as many parameters as ours.
    """

    name: str
    autoencoder: AutoencoderConfig
    diffusion: DiffusionConfig
    num_steps: int
    matrix_side: int
    copy_mib: int
    tile_px: int
    repeats: int
    peer_width: int | None

    @property
    def picture(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.autoencoder.image_height_px, self.autoencoder.image_width_px

    @property
    def side(self) -> str:
        """Such as "2048x2048", width first."""
        return "x".join(map(str, reversed(self.picture)))


def size_of(name: str) -> Size:
    """The size "full" or "tiny"."""
    found = _read(name)
    autoencoder, diffusion = found
    # The perceptual network's weights are in a package that a bare machine lacks.
    autoencoder = replace(autoencoder, perceptual=None)
    is_full = name == "full"
    batches = [
        one.training.batch_size // one.training.num_workers if is_full else 2 for one in found
    ]
    return Size(
        name=name,
        autoencoder=replace(autoencoder, training=_on_one_gpu(autoencoder.training, batches[0])),
        diffusion=replace(diffusion, training=_on_one_gpu(diffusion.training, batches[1])),
        num_steps=10 if is_full else 2,
        matrix_side=8192 if is_full else 256,
        copy_mib=4096 if is_full else 8,
        tile_px=384 if is_full else 64,
        repeats=5 if is_full else 1,
        peer_width=None if is_full else 8,
    )


def build_autoencoder(size: Size, device: torch.device) -> PyramidAutoencoder:
    """The preset's autoencoder, with weights that let every layer take part."""
    torch.manual_seed(0)
    return _place(PyramidAutoencoder(_model_of(size)), device)


def build_unet(size: Size, device: torch.device) -> PyramidUNet:
    """The preset's UNet for the levels of its autoencoder."""
    torch.manual_seed(0)
    levels, config = _model_of(size).levels, size.diffusion.model
    assert config is not None  # the presets train no baseline
    channels = tuple(level.channels for level in levels)
    model = PyramidUNet(config, channels, tuple(level.downsampling for level in levels))
    return _place(model, device)


def level_shapes_of(size: Size) -> tuple[LevelShape, ...]:
    """(C, h, w) of every level of a picture."""
    with torch.device("meta"):
        return PyramidAutoencoder(_model_of(size)).level_shapes(*size.picture)


def _model_of(size: Size) -> AutoencoderModelConfig:
    model = size.autoencoder.model
    assert model is not None  # the presets train no baseline
    return model


def _place(model: Network, device: torch.device) -> Network:
    """Fill weights that start at zero, which would hide all layers before them, and move."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1 and not weight.any():
                weight.normal_(0, SCALE_OF_ZEROS, generator=generator)
    return to_channels_last(model.to(device))


def _on_one_gpu(training: TrainingConfig, batch: int) -> TrainingConfig:
    """The share of one GPU of a training on several; nothing is saved."""
    return replace(
        training,
        num_workers=1,
        accumulation=1,
        batch_size=batch,
        total_images=batch,
        log_every_images=batch,
        save_every_images=batch,
        warmup_images=0,
        schedule="constant",
        precision="bfloat16",
        compile=False,
    )


def _read(name: str) -> tuple[AutoencoderConfig, DiffusionConfig]:
    record = json.loads(FILE.read_text(encoding="utf-8"))[PRESETS[name]]
    return (
        from_record(AutoencoderConfig, record["autoencoder"], "autoencoder"),
        from_record(DiffusionConfig, record["diffusion"], "diffusion"),
    )


def records_of_presets() -> dict[str, dict[str, object]]:
    """What the JSON must say; needs all packages of the project."""
    from pdm import presets

    found = {}
    for preset in PRESETS.values():
        config = presets.load(preset)
        found[preset] = {
            "autoencoder": dataclasses.asdict(config.autoencoder),
            "diffusion": dataclasses.asdict(config.diffusion),
        }
    records: dict[str, dict[str, object]] = json.loads(json.dumps(found))
    return records


if __name__ == "__main__":
    FILE.write_text(json.dumps(records_of_presets(), indent=1) + "\n", encoding="utf-8")
