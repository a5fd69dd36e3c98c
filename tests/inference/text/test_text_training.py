"""Captions, from the records of the shards to a model that was trained on them."""

import json
from dataclasses import replace

import pytest
import torch
from shades import (
    BRIEF,
    BY_TEXT,
    CAPTIONS,
    SPLITS,
    TASK,
    check_that_resuming_changes_nothing,
    link_latents,
    rows_of,
    shade_of,
    train,
)
from shared.tiny_bert import write_bert

from pdm.config.file import FileConfig
from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.registry import load_denoiser
from pdm.tasks.find import build_task, check_task
from pdm.tasks.text import TextFiles, prepare_text
from pdm.training.latent_dataset import LatentDataset


def test_latents_know_the_captions_of_each_picture_and_of_its_mirrored_copy(taught):
    for split, copies in (("train", 2), ("val", 1)):
        latents = LatentShards(taught.folder / "latents", split)
        assert latents.captions == [CAPTIONS[shade_of(n)] for n in SPLITS[split]] * copies


def test_the_model_carries_its_vocabulary_and_its_task(taught):
    pieces = (taught.diffusion / "vocab.txt").read_text().splitlines()
    assert "bright" in pieces
    record = json.loads((taught.diffusion / "config.json").read_text())
    assert record["task"]["kind"] == "text"
    assert record["config"]["condition"]["text"]["width"] == 16


def test_a_stopped_and_resumed_run_ends_bit_for_bit_like_an_uninterrupted_one(shades, tmp_path):
    config = replace(BY_TEXT, score_images=0, training=BRIEF)
    check_that_resuming_changes_nothing(config, link_latents(shades, tmp_path))


def noisy(taught, **changes):
    files = TextFiles(taught.folder / "runs" / "diffusion" / "diffusion")
    latents = LatentShards(taught.folder / "latents", "train")
    sizes = load_denoiser(taught.diffusion).condition_sizes
    config = replace(BY_TEXT, **changes)
    return LatentDataset(latents, config, sizes, task=build_task(TASK, {}, files))


def test_every_caption_of_a_picture_is_shown_in_the_course_of_the_epochs(taught):
    data = noisy(taught, condition_dropout=0.0)
    latents, num_epochs = data.shards, 20
    positions = range(num_epochs * len(latents))
    tokens = data._condition(positions).tokens
    seen = {}
    for index, row in zip(data._indices(positions), tokens, strict=True):
        seen.setdefault(index, set()).add(tuple(row.tolist()))
    for index, captions in enumerate(latents.captions):
        expected = data.task.condition_of_texts(captions or ("",)).tokens
        assert seen[index] == {tuple(row.tolist()) for row in expected}
    again = data._condition(range(1000, 1010)).tokens
    assert torch.equal(again, tokens[1000:1010])


def test_a_dropped_condition_is_the_empty_text(taught):
    data = noisy(taught)
    condition = data._condition(range(2000))
    empty = data.task.condition_of_texts([""])
    is_empty = (condition.tokens == empty.tokens).all(dim=1)
    # A fifth of the pictures has no caption.
    assert is_empty.float().mean().item() == pytest.approx(0.2 + 0.8 * 0.2, abs=0.03)
    assert (condition.mask[is_empty] == empty.mask).all()


def test_padding_changes_no_velocity(taught):
    network = load_denoiser(taught.diffusion)
    _, noise, times, *_, condition = noisy(taught).load(range(4))
    other = replace(condition, tokens=torch.where(condition.mask, condition.tokens, 9))
    with torch.no_grad():
        expected, found = (network(noise, times, each) for each in (condition, other))
        encoded = network(noise, times, network.encode_text(condition))
    for one, two, three in zip(expected, found, encoded, strict=True):
        assert one.abs().max() > 0.1
        assert torch.equal(one, two)
        assert torch.equal(one, three)


def test_data_without_captions_is_refused_before_any_work(taught, chain):
    with pytest.raises(BadInput, match="no image has a caption; name a caption_column"):
        check_task(BY_TEXT, LatentShards(chain.latents, "train"))


@pytest.mark.parametrize("key", ["attention_from", "cross_attention_from"])
def test_a_network_that_would_not_read_the_text_is_refused_before_any_work(taught, key):
    deaf = replace(BY_TEXT, model=replace(BY_TEXT.model, **{key: 64}))
    message = f"diffusion.model.{key} is 64, so no layer would read .*; set it to 8 or less"
    with pytest.raises(BadInput, match=message):
        check_task(deaf, LatentShards(taught.folder / "latents", "train"))


def test_a_network_of_one_map_may_have_fewer_resolutions_than_the_latents_have_levels(taught):
    sizes = {"widths": (8,), "blocks": (1,), "dropout": (0.0,), "cross_attention_from": 4}
    plain = {"branches": False, "input_stream": False, "windows": None, "time_embedding": "joint"}
    one = replace(BY_TEXT.model, **plain, **sizes)
    check_task(replace(BY_TEXT, model=one), LatentShards(taught.folder / "latents", "train"))


def test_a_vocabulary_that_changes_during_a_run_is_refused(taught, tmp_path):
    files = TextFiles(taught.folder / "runs" / "diffusion" / "diffusion", base=tmp_path)
    splits = [LatentShards(taught.folder / "latents", split) for split in ("train", "val")]
    own = tmp_path / "own.txt"
    own.write_text("[UNK]\n[CLS]\n[SEP]\na\n")
    vocabulary = FileConfig(path="own.txt", sha256=sha256_of(own))
    task = replace(TASK, encoder=replace(TASK.encoder, vocabulary=vocabulary))
    with pytest.raises(BadInput, match="the vocabulary differs from that of the run"):
        prepare_text(task, splits, files, None)
    own.write_text("[UNK]\n[CLS]\n[SEP]\nb\n")
    with pytest.raises(BadInput, match=r"encoder\.vocabulary\.path: .*own.txt has sha256"):
        prepare_text(task, splits, files, None)


def test_training_from_cached_states_equals_training_without_a_cache_to_the_bit(
    shades, taught, tmp_path
):
    encoder = write_bert(tmp_path / "bert", max_tokens=6)
    task = replace(TASK, encoder=encoder)
    config = replace(BY_TEXT, task=task, score_images=0, training=BRIEF)
    folder = link_latents(shades, tmp_path)
    cached = train(folder, "cached", config)
    states = folder / "runs" / "text"
    assert len(list(states.glob("*/*.safetensors"))) == 1
    splits = [LatentShards(folder / "latents", split) for split in ("train", "val")]
    bare = TextFiles(folder)
    for at in range(2):
        kept, direct = (
            LatentDataset(
                splits[at],
                config,
                load_denoiser(cached).condition_sizes,
                task=build_task(task, {}, files),
            )._condition(range(40))
            for files in (TextFiles(folder, states), bare)
        )
        assert torch.equal(kept.tokens, direct.tokens)
        assert torch.equal(kept.mask, direct.mask)
    other = replace(taught, diffusion=cached)
    drawn = rows_of(other.draw(tmp_path / "samples", prompts=("a sea",)))
    assert {row["prompt"] for row, _ in drawn} == {"a sea"}
