"""Classes, from the records of the shards to the samples: bright pictures, dark ones, and others
that nobody gave a class."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from shades import (
    BRIEF,
    BY_CLASS,
    CLASSES,
    GREYS,
    SPLITS,
    UNCONDITIONAL,
    Taught,
    check_that_resuming_changes_nothing,
    link_latents,
    rows_of,
    shade_of,
    train,
)
from shared.folders import make_once
from tiny_chain import SAMPLE, sample_from

from pdm.config.task import ClassTask
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.champion import load_champion_folder
from pdm.lineage.formats import as_text
from pdm.lineage.trace import Places, trace
from pdm.model_record import record_of
from pdm.tasks.find import check_task
from pdm.training.latent_dataset import LatentDataset


@pytest.fixture(scope="session")
def taught(shades, tmp_path_factory) -> Taught:
    """Has learnt from classes which is which."""

    def make(folder):
        train(link_latents(shades, folder), "diffusion", BY_CLASS)

    folder = make_once(tmp_path_factory, "taught-classes", make)
    return Taught(folder, folder / "diffusion")


def pictures(samples):
    return [(row.get("class"), pixels) for row, pixels in rows_of(samples)]


def test_latents_know_the_class_of_each_picture_and_of_its_mirrored_copy(taught):
    for split, copies in (("train", 2), ("val", 1)):
        latents = LatentShards(taught.folder / "latents", split)
        assert latents.classes == ("bright", "dark")
        expected = [{"bright": 0, "dark": 1, None: 2}[shade_of(n)] for n in SPLITS[split]] * copies
        assert latents.labels.tolist() == expected


@pytest.mark.parametrize("sampler", ["heun", "multistep", "adaptive"])
def test_samples_look_like_their_class(taught, tmp_path, sampler):
    found = pictures(taught.draw(tmp_path / "samples", sampler=sampler))
    # Seeds begin at 7; classes follow from the seed and take turns.
    assert [name for name, _ in found] == ["dark", "bright"] * 3
    for name, pixels in found:
        assert abs(pixels.mean() - GREYS[name]) < 40


def test_a_large_sample_looks_like_its_class_with_guidance(taught, tmp_path):
    guided = {"guidance_scale": 2.0, "guide": UNCONDITIONAL, "sampler": "euler", "steps": 4}
    samples = taught.draw(tmp_path / "samples", size=(140, 128), num_images=1, **guided)
    [(name, pixels)] = pictures(samples)
    assert (name, pixels.shape) == ("dark", (128, 140, 3))
    assert abs(pixels.mean() - GREYS[name]) < 50


@pytest.mark.parametrize("sampler", ["heun", "adaptive"])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_picture_of_a_class_does_not_depend_on_its_batch(taught, tmp_path, sampler, scale):
    settings = {"sampler": sampler, "guidance_scale": scale, "guide": UNCONDITIONAL}
    together = pictures(taught.draw(tmp_path / "together", **settings))
    for first, count in ((7, 1), (8, 3)):
        alone = pictures(
            taught.draw(
                tmp_path / str(first), seed=first, num_images=count, batch_size=2, **settings
            )
        )
        for (name, pixels), (other, expected) in zip(alone, together[first - 7 :], strict=False):
            assert name == other
            assert np.abs(pixels - expected).max() <= 1


def test_only_the_classes_that_are_asked_for_are_drawn(taught, tmp_path):
    found = pictures(taught.draw(tmp_path / "samples", classes=("dark",), num_images=3))
    assert [name for name, _ in found] == ["dark"] * 3
    assert max(pixels.mean() for _, pixels in found) < 100
    [(_, same), *_] = pictures(taught.draw(tmp_path / "all", num_images=1))
    assert np.abs(found[0][1] - same).max() <= 1  # the class alone matters, not the choice


def test_classifier_free_guidance_leads_away_from_what_is_drawn_without_a_class(taught, tmp_path):
    """The mean of all pictures lies between the classes, so guidance leads to the far sides."""
    means, many = {}, {"num_images": 48, "batch_size": 48}  # few could show a class by chance
    for scale in (0.0, 1.0, 3.0):
        changes = {"guidance_scale": scale, "guide": UNCONDITIONAL}
        found = pictures(taught.draw(tmp_path / str(scale), **many, **changes))
        by_class = {
            name: np.mean([pixels.mean() for one, pixels in found if one == name])
            for name in ("bright", "dark")
        }
        means[scale] = by_class["bright"] - by_class["dark"]
    assert means[0.0] < means[1.0] < means[3.0]
    assert means[0.0] < 0.7 * means[1.0]  # not told the class, the network draws any


def test_marks_list_and_lineage_name_the_class_and_the_champion_draws_it(taught, tmp_path):
    samples = taught.draw(tmp_path / "samples", classes=("bright", "dark"))
    record = json.loads((samples / "samples.json").read_text())
    assert record["classes"] == ["bright", "dark"]
    assert record["samples"][0]["class"] == "dark"
    places = Places(*(tmp_path / name for name in ("none", "samples", "runs", "decisions")))
    assert "class dark" in as_text(trace(samples / "000000.png", places), listed=False)
    with Image.open(samples / "000001.png") as picture:
        picture.save(tmp_path / "copy.bmp")
    assert trace(tmp_path / "copy.bmp", places).drawn["class"] == "bright"

    for stage, folder in (
        ("autoencoder", taught.folder / "autoencoder"),
        ("diffusion", taught.diffusion),
    ):
        (samples / stage).symlink_to(folder)
    [picture] = load_champion_folder(samples).draw([SAMPLE.seed + 1])
    assert np.abs(pictures(samples)[1][1] - picture).max() <= 1


def test_a_stopped_and_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(shades, tmp_path):
    config = replace(BY_CLASS, score_images=0, training=BRIEF)
    check_that_resuming_changes_nothing(config, link_latents(shades, tmp_path))


def test_the_configured_share_of_labels_is_dropped_by_position(taught):
    latents = LatentShards(taught.folder / "latents", "train")
    noisy = LatentDataset(latents, BY_CLASS, CLASSES)
    labels = noisy.load(range(2000))[-1].label
    true = latents.labels[noisy._indices(range(2000))]
    dropped = (labels != true).float().sum() / (true < 2).sum()
    assert dropped.item() == pytest.approx(0.2, abs=0.03)
    assert set(labels[labels != true].tolist()) == {2}
    assert torch.equal(noisy.load(range(1000, 1010))[-1].label, labels[1000:1010])
    everything = LatentDataset(latents, replace(BY_CLASS, condition_dropout=0.0), CLASSES)
    assert torch.equal(everything.load(range(100))[-1].label, true[:100])


def test_without_a_condition_the_classes_change_nothing(taught):
    latents = LatentShards(taught.folder / "latents", "train")
    plain = replace(BY_CLASS, model=replace(BY_CLASS.model, condition=None))
    batch, other = (
        LatentDataset(latents, config, CLASSES).load(range(8)) for config in (plain, BY_CLASS)
    )
    assert batch[-1].is_empty
    one, two = ((*parts[0], *parts[1], *parts[2:5]) for parts in (batch, other))
    for a, b in zip(one, two, strict=True):
        assert torch.equal(a, b)


def test_pictures_without_a_class_are_counted_and_logged(taught, caplog):
    with caplog.at_level(logging.INFO):
        check_task(BY_CLASS, LatentShards(taught.folder / "latents", "train"))
    assert "bright 32, dark 32; 16 without a class" in caplog.text


def conditioned(**changes):
    return replace(BY_CLASS, model=replace(BY_CLASS.model, condition=replace(CLASSES, **changes)))


def test_data_that_does_not_fit_the_condition_is_refused(taught, chain):
    latents = LatentShards(taught.folder / "latents", "train")
    with pytest.raises(BadInput, match=r"states num_classes 3, but .* class needs num_classes 2"):
        check_task(conditioned(num_classes=3), latents)
    with pytest.raises(BadInput, match=r"no image has a class; sort .* folder"):
        check_task(BY_CLASS, LatentShards(chain.latents, "train"))
    with pytest.raises(BadInput, match=r"num_classes 2, token_width 8, but .* needs num_classes 2"):
        check_task(conditioned(token_width=8), latents)
    with pytest.raises(BadInput, match=r"map_channels 4, but .* unconditional needs no condition"):
        check_task(conditioned(num_classes=0, map_channels=4), latents)


def test_a_class_task_needs_no_sizes_and_trains_the_same_model(shades, tmp_path):
    """The number of classes follows from the data; old params state it, and mean the same."""
    quick = replace(BY_CLASS.training, total_images=32, save_every_images=32, log_every_images=32)
    stated = replace(BY_CLASS, score_images=0, training=quick)
    derived = replace(
        stated, task=ClassTask(kind="class"), model=replace(stated.model, condition=None)
    )
    folder = link_latents(shades, tmp_path)
    one, other = (
        train(folder, name, config) for name, config in (("stated", stated), ("derived", derived))
    )
    assert sha256_of(one / "model.safetensors") == sha256_of(other / "model.safetensors")
    assert record_of(other)["task"] == {"kind": "class"}


def test_what_the_model_does_not_know_is_not_drawn(taught, chain, tmp_path):
    with pytest.raises(BadInput, match="has no class 'grey'; it has bright, dark"):
        taught.draw(tmp_path / "samples", classes=("bright", "grey"))
    with pytest.raises(BadInput, match="has no classes; set it to null"):
        draw_with(chain, tmp_path, classes=("bright",))
    with pytest.raises(BadInput, match="takes no condition, so classifier-free guidance"):
        draw_with(chain, tmp_path, guidance_scale=2.0, guide=UNCONDITIONAL)


def draw_with(chain, folder, **changes):
    sample_from(chain, replace(SAMPLE, **changes), folder / "samples")
