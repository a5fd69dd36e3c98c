"""Each stage that computes with torch names its device in its first log line."""

import logging
from dataclasses import replace

import torch
from tiny_chain import AUTOENCODER, DIFFUSION, LATENTS, SAMPLE, sample_from

from pdm.evaluation.reference_distance import ReferenceDistance
from pdm.inference.encode import encode_shards
from pdm.machine.device import describe_device
from pdm.training import autoencoder, diffusion
from pdm.training.distributed.workers import Workers

CPU = torch.device("cpu")


def test_latents(chain, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "pdm"):
        encode_shards(
            LATENTS, shards=chain.shards, autoencoder=chain.autoencoder, latents=tmp_path / "made"
        )
    assert caplog.messages[0] == describe_device(CPU)


def test_sample(chain, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "pdm"):
        sample_from(chain, replace(SAMPLE, num_images=1), tmp_path / "drawn")
    assert caplog.messages[0] == describe_device(CPU)


def test_trainings_also_name_the_precision(chain, tmp_path, caplog):
    short = {"total_images": 4, "log_every_images": 4, "save_every_images": 4}
    short["precision"] = "bfloat16"
    configs = [
        replace(one, training=replace(one.training, **short)) for one in (AUTOENCODER, DIFFUSION)
    ]
    paths = tmp_path / "run", tmp_path / "model"
    works = [
        (autoencoder, autoencoder.Settings(configs[0], chain.shards, *paths)),
        (
            diffusion,
            diffusion.Settings(
                configs[1], ReferenceDistance, chain.latents, *paths, chain.autoencoder
            ),
        ),
    ]
    for number, (module, settings) in enumerate(works):
        caplog.clear()
        with caplog.at_level(logging.INFO, "pdm"):
            settings = replace(settings, run=tmp_path / str(number))
            module.train_on_worker(settings, Workers(CPU))
        assert caplog.messages[0] == describe_device(CPU, "bfloat16")
