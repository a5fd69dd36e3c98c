from functools import partial
from pathlib import Path

import pytest
import torch
from bucket_chain import train_bucket_chain
from layout_chain import train_layouts
from shades import BY_TEXT, Taught, link_latents, make_latents, train
from shared.folders import make_once
from tiny_chain import BY_NOISE, BY_VELOCITY, Chain, train_chain


@pytest.fixture(scope="session")
def chain(tmp_path_factory) -> Chain:
    return Chain.below(make_once(tmp_path_factory, "chain", train_chain))


@pytest.fixture(scope="session")
def ldm_by_noise(tmp_path_factory) -> Chain:
    make = partial(train_chain, baseline=BY_NOISE[0], unet=BY_NOISE[1])
    return Chain.below(make_once(tmp_path_factory, "ldm-by-noise", make))


@pytest.fixture(scope="session")
def ldm_by_velocity(tmp_path_factory) -> Chain:
    make = partial(train_chain, baseline=BY_VELOCITY[0], unet=BY_VELOCITY[1])
    return Chain.below(make_once(tmp_path_factory, "ldm-by-velocity", make))


@pytest.fixture(scope="session")
def bucket_chain(tmp_path_factory) -> Chain:
    return Chain.below(make_once(tmp_path_factory, "bucket-chain", train_bucket_chain))


@pytest.fixture(scope="session")
def by_boxes(chain, tmp_path_factory) -> Path:
    """Shards, latents and models of layouts."""
    return make_once(tmp_path_factory, "by-boxes", partial(train_layouts, chain))


@pytest.fixture(scope="session")
def shades(tmp_path_factory) -> Path:
    """Shards, autoencoder and latents of bright pictures and dark ones."""
    return make_once(tmp_path_factory, "shades", make_latents)


@pytest.fixture(scope="session")
def taught(shades, tmp_path_factory) -> Taught:
    """Has learnt from captions which is which."""

    def make(folder: Path) -> None:
        train(link_latents(shades, folder), "diffusion", BY_TEXT)

    folder = make_once(tmp_path_factory, "taught-captions", make)
    return Taught(folder, folder / "diffusion")


@pytest.fixture
def one_thread():
    """Sums on several threads differ in their last bits; other tests keep their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
