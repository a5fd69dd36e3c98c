"""Trains one whole system on crops, draws from it, and scores the pictures."""

import copy
import dataclasses
import json
import logging
import sys
from pathlib import Path

import torch

from benchmarks.designs import crops as kept_crops
from benchmarks.designs.crops import Crops
from benchmarks.designs.first_stages import SIDE_PX
from benchmarks.designs.system_designs import (
    JUDGE,
    SYSTEMS,
    System,
    first_stage_config,
    flow_config,
    guide_share,
    sampling_config,
)
from benchmarks.designs.train_denoiser import (
    distances_of_pairs,
    draw_samples,
    prepare_training,
    reconstruct,
)
from benchmarks.designs.train_first_stage import measured, train_autoencoder
from benchmarks.designs.training_length import Length, lengths_of
from benchmarks.parts.training.in_memory import ema_of, trained
from benchmarks.shared.networks import count_parameters
from pdm.config.fingerprint import fingerprint
from pdm.config.stages.autoencoder import AutoencoderConfig
from pdm.config.stages.diffusion import DiffusionConfig
from pdm.data.pixels import Pixels
from pdm.data.sheets import contact_sheet
from pdm.evaluation.features.packaged import PackagedFeatures
from pdm.inference.sampling_networks import Networks
from pdm.model_record import record_of
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.base_autoencoder import Autoencoder
from pdm.models.layers.spectral_norm import bake_spectral_norms
from pdm.registry import load_autoencoder

SHEET_PICTURES = 32
PAIRS = {
    "samples": ("samples", "unseen"),
    "reconstructions": ("reconstructions", "unseen"),
    "floor": ("train", "unseen"),
    "samples, held out": ("samples", "held_out"),
    "floor, held out": ("train", "held_out"),
    "guided": ("guided", "unseen"),
    "guided, held out": ("guided", "held_out"),
}


def main() -> None:
    logging.getLogger().setLevel(logging.ERROR)
    torch.set_num_threads(1)
    job = json.loads(sys.argv[1])
    crops = kept_crops.load(Path(job["crops"]))[job["source"]]
    system, work = SYSTEMS[job["design"]], Path(job["work"])
    lengths = lengths_of(job)
    settings = first_stage_config(system, job["seed"])
    where = f"{job['source']}-{job['seed']}-{lengths[0]}"
    name = f"{system.first_stage}-{where}-{fingerprint(settings)[:8]}"
    folder = work / "first-stages" / name
    first_stage = first_stage_of(system, settings, lengths[0], crops, folder)
    config = flow_config(system, job["seed"])
    networks, images_seen = train_with_guide(config, first_stage, crops.train, lengths[1])
    count = len(crops.unseen)
    sampling = {
        "samples": sampling_config(system, guided=False),
        "guided": sampling_config(system, guided=True),
    }
    drawn = {kind: draw_samples(networks, first_stage, sampling[kind], count) for kind in sampling}
    for kind, pictures in drawn.items():
        _save_sheet(pictures, work / "sheets" / f"{job['design']} {name} {kind}.png")
    sets = {
        **drawn,
        "reconstructions": reconstruct(first_stage, crops.unseen),
        "train": crops.train[:count],
        "unseen": crops.unseen,
        "held_out": crops.held_out,
    }
    parts = (first_stage, networks.network)
    found = {
        **{key: job[key] for key in ("design", "source", "seed", "seconds", "as_many_images_as")},
        "images": None,
        "first_stage_images": first_stage_images(folder),
        "images_seen": images_seen,
        "parameters": [count_parameters(part) for part in parts],
        "latent_values": independent_values(first_stage),
        "samples": count,
        "distances": distances_of_pairs(sets, PAIRS, work / "real", [PackagedFeatures(JUDGE)]),
    }
    print(json.dumps(found))


def train_with_guide(
    config: DiffusionConfig, first_stage: Autoencoder, pixels: Pixels, length: Length
) -> tuple[Networks, int]:
    """Train, and keep the EMA on the way that guides the final one.

    Returns:
        Both EMAs, in evaluation mode, and the number of images seen.
    """
    state, losses, data = prepare_training(config, first_stage, pixels)
    before = length.first(guide_share(), config.training.batch_size)
    trained(state, losses, data, before.of(config.training), before.seconds)
    guide = bake_spectral_norms(copy.deepcopy(ema_of(state)))
    rest = length.after(before)
    trained(state, losses, data, rest.of(config.training), rest.seconds)
    network = bake_spectral_norms(ema_of(state))
    return Networks(network, guide, guide_gets_condition=True), state.images_seen


def first_stage_of(
    system: System, config: AutoencoderConfig, length: Length, crops: Crops, folder: Path
) -> Autoencoder:
    """Load the first stage, which systems share; train and keep it if there is none.

    All that share it would train the same one. The scale of kl-f8's latents is no part of the
    training: it is set afterwards.
    """
    if not folder.exists():
        config = dataclasses.replace(config, training=length.of(config.training))
        model, _, images_seen = train_autoencoder(config, crops.train, length.seconds)
        model.save_pretrained(folder, images_seen=images_seen)
    model = load_autoencoder(folder)
    if system.first_stage == "kl-f8":
        model.config = dataclasses.replace(model.config, latent_scale=system.scale)
    return measured(model, crops)


def first_stage_images(folder: Path) -> int:
    """How many images a kept first stage saw."""
    return int(record_of(folder)["images_seen"])


def independent_values(first_stage: Autoencoder) -> int:
    """How many values of a picture's latents do not follow from the others."""
    shapes = first_stage.level_shapes(SIDE_PX, SIDE_PX)
    values = sum(channels * height * width for channels, height, width in shapes)
    if isinstance(first_stage, PyramidAutoencoder) and first_stage.config.orthogonal_levels:
        # Zero means over the coarser grid's cells, one for each cell and channel
        pairs = zip(shapes[2:], shapes[1:], strict=False)
        values -= sum(finer[0] * coarser[1] * coarser[2] for finer, coarser in pairs)
    return values


def _save_sheet(samples: Pixels, path: Path) -> None:
    """The first samples, unselected, to look at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [list(samples[start : start + 8]) for start in range(0, SHEET_PICTURES, 8)]
    contact_sheet([row for row in rows if row]).save(path)


if __name__ == "__main__":
    main()
