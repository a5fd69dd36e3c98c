"""The model card: `README.md` in the folder of a trained autoencoder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pdm.config.stages.autoencoder import AdversarialConfig, AutoencoderConfig
from pdm.data.shards import manifest
from pdm.data.shards.buckets import FACT, has_buckets
from pdm.models.base_autoencoder import Autoencoder
from pdm.pages.markdown import plain, table

CROISSANT = "croissant.json"  # in the shards' folder; names the licences of their images
FRONT_MATTER = """---
library_name: pyramid-diffusion
license: other
tags: [autoencoder, image]
---
"""
USAGE = """```python
from pathlib import Path
from pdm.registry import load_autoencoder

model = load_autoencoder(Path("models/autoencoder"))
latents = model.encode(images)  # (B, 3, H, W) in [-1, 1] to one tensor for each level
images = model.decode(latents)
```
"""


def autoencoder_card(
    model: Autoencoder,
    config: AutoencoderConfig,
    shards: Path,
    *,
    psnr_by_levels: Sequence[float],
    redundancy_by_level: Sequence[float],
    images_seen: int,
    init_from: Mapping[str, Any] | None = None,
) -> str:
    """Write the card in Markdown: what the model is, its training data, and its scores.

    Args:
        model: The trained model.
        config: Config of its training.
        shards: Shards that it was trained on.
        psnr_by_levels: PSNR in dB of held-out images at the training size, from one level, two,
            ...
        redundancy_by_level: Share of each level's variance that the coarser levels explain.
        images_seen: Images seen in training.
        init_from: Entry of `config.json` on the model that it was fine-tuned from, if any.
    """
    size = _sizes(config, shards)
    count = sum(weight.numel() for weight in model.parameters())
    return f"""{FRONT_MATTER}
# {_kind(config)} for images of {size}

Turns images into latents and back. Parameters: {count:,}. Images seen in training:
{images_seen:,}. Levels, from coarse to fine; each decodes without the finer ones. Redundancy is the
share of a level's variance that a linear map from the coarser levels explains on held-out images:

{_levels(model, config, redundancy_by_level)}
Latents are standardised per level and channel. Other sizes work if both sides are multiples of the
largest downsampling; the model was measured at {size} only.

{USAGE}
## Scores

PSNR of held-out images, reduced to {size}, by the number of levels decoded.

{table(("levels", "PSNR in dB"), _psnr(psnr_by_levels))}
## Training

{_losses(config)}
{_source(init_from)}
## Data

{_data(shards)}
"""


def licences_of(shards: Path) -> list[str]:
    """List the licences that the sources of the images state; empty if they are not known."""
    try:
        found = json.loads((shards / CROISSANT).read_text(encoding="utf-8"))["license"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in ([found] if isinstance(found, str) else found)]


def _kind(config: AutoencoderConfig) -> str:
    return f"First stage {config.baseline.name}" if config.baseline else "Pyramid autoencoder"


def _sizes(config: AutoencoderConfig, shards: Path) -> str:
    """Name the main size; it stands for all shapes, which are reduced by the same factor."""
    size = f"{config.image_width_px}x{config.image_height_px}"
    facts = manifest.read(shards).facts
    return f"{size} and {len(facts[FACT]) - 1} other shapes" if has_buckets(facts) else size


def _levels(model: Autoencoder, config: AutoencoderConfig, redundancy: Sequence[float]) -> str:
    shapes = model.level_shapes(config.image_height_px, config.image_width_px)
    rows = zip(model.level_downsamplings, shapes, redundancy, strict=True)
    lines = [
        (str(factor), f"{height}x{width}, {count}", f"{count * height * width:,}", f"{share:.2f}")
        for factor, (count, height, width), share in rows
    ]
    return table(("downsampling", "map, channels", "values", "redundancy"), lines)


def _psnr(by_levels: Sequence[float]) -> list[tuple[str, str]]:
    return [(str(count), f"{psnr:.2f}") for count, psnr in enumerate(by_levels, start=1)]


def _losses(config: AutoencoderConfig) -> str:
    terms = [f"{config.pixel_loss}", f"{config.gradient_loss_weight:g} x multi-scale gradient"]
    if config.perceptual:
        digest, network = config.perceptual.sha256, config.perceptual.network
        judge = f"distance of features of {network}" if network else f"network (sha256 {digest})"
        texture = f", texture {config.perceptual.texture:g}" if config.perceptual.texture else ""
        terms.append(f"{config.perceptual.weight:g} x a perceptual {judge}{texture}")
    if config.adversarial:
        terms.append(_discriminator(config.adversarial))
    if config.equivariance_loss_weight:
        terms.append(f"{config.equivariance_loss_weight:g} x equivariance to scaling")
    return f"Losses: {', '.join(terms)}. All settings of the model are in `config.json`."


def _discriminator(config: AdversarialConfig) -> str:
    start = f"{config.start_images:,} images" if config.start_images else "the first image"
    if config.kind == "projected":
        return f"{config.weight:g} x a discriminator of these features, from {start} on"
    return f"a discriminator of patches from {start} on"


def _source(init_from: Mapping[str, Any] | None) -> str:
    if init_from is None:
        return ""
    path, digest = plain(init_from["path"]), init_from["sha256"]
    return (
        f"\nFine-tuned from the model `{path}` (sha256 `{digest}`), with "
        f"{init_from['taken']} of {init_from['total']} tensors taken from it. `pictures.txt`, if "
        "it exists, also lists its images.\n"
    )


def _data(shards: Path) -> str:
    found = manifest.read(shards)
    licences = licences_of(shards) or ["not known"]
    counts = ", ".join(f"{found.num_samples(split):,} {split}" for split in sorted(found.splits))
    return (
        f"Images: {counts}; `pictures.txt`, if it exists, lists them. Version (sha256 of "
        f"the manifest): `{manifest.digest(shards)}`.\n\n"
        f"Licences stated by their sources: {', '.join(map(plain, licences))}. "
        "Nobody has verified them, and a model may retain traces of its images."
    )
