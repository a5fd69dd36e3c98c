"""Captions that are tags: other orders and gaps in training, the same for ever after."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from pdm.config.networks.text import TagsConfig, TextTransformerConfig, WordPiecesConfig
from pdm.config.task import TextTask, task_from_record, task_record
from pdm.tasks.examples import examples_at, examples_of_seeds
from pdm.tasks.text import Text, texts_shown
from pdm.text.tags import versions_of

CAPTION = "lake, dusk,two boats ,, mist"
TAGS = ["lake", "dusk", "two boats", "mist"]
ENCODER = WordPiecesConfig(
    kind="word_pieces",
    vocabulary=None,
    transformer=TextTransformerConfig(
        vocabulary_size=80, max_tokens=8, width=16, depth=1, num_heads=2, head_width=8
    ),
)


def tags(versions=64, keep_first=0, dropout=0.0):
    return TagsConfig(versions=versions, keep_first=keep_first, dropout=dropout)


TASK = TextTask(kind="text", encoder=ENCODER, prompts=())


def text_task(config):
    return Text(replace(TASK, tags=config))


def shards(split):
    """Two pictures, the second with a sentence."""
    captions = [(CAPTION,), ("a lake at dusk",)]
    return _Shards(
        keys=["a", "b"],
        labels=[0, 0],
        layouts=[None, None],
        captions=captions,
        classes=[],
        split=split,
    )


class _Shards(SimpleNamespace):
    def __len__(self):
        return len(self.keys)


def captions_shown(split, config, epochs=40):
    """Captions of the first picture in these epochs."""
    task = text_task(config)
    texts = []
    for epoch in range(epochs):
        [example] = examples_at(task, shards(split), range(2 * epoch, 2 * epoch + 1), [0], 7)
        task.condition_of_texts = texts.extend
        task.condition([example], None)
    return texts


def test_versions_have_all_tags_in_many_orders_and_are_the_same_each_time():
    found = versions_of(CAPTION, tags())
    assert all(sorted(version.split(", ")) == sorted(TAGS) for version in found)
    assert len(found) == 64
    assert len(set(found)) > 12  # of 24 orders
    assert found == versions_of(CAPTION, tags())
    assert found[:8] == versions_of(CAPTION, tags(versions=8))  # which are cached already


def test_the_first_tags_stay_and_others_are_left_out_at_their_rate():
    found = [version.split(", ") for version in versions_of(CAPTION, tags(900, 1, 0.25))]
    assert {version[0] for version in found} == {"lake"}
    for tag in TAGS[1:]:
        assert sum(tag in version for version in found) / 900 == pytest.approx(0.75, abs=0.05)


def test_a_version_is_never_empty_and_what_is_no_list_of_tags_stays():
    assert all(versions_of(CAPTION, tags(dropout=1.0)))
    assert versions_of("a lake at dusk", tags()) == ("a lake at dusk",)
    assert versions_of("", tags()) == ("",)


def test_each_epoch_shows_another_version_of_a_training_picture():
    texts = captions_shown("train", tags(8))
    assert set(texts) == set(versions_of(CAPTION, tags(8)))
    assert texts == captions_shown("train", tags(8))


def test_held_out_pictures_samples_and_other_texts_keep_their_captions():
    assert set(captions_shown("val", tags())) == {CAPTION}
    assert set(captions_shown("train", None)) == {CAPTION}
    task = text_task(tags())
    assert examples_of_seeds(task, shards("train"), [0])[0].captions == (CAPTION,)
    assert task.captions_in_training(("a lake at dusk",)) == ("a lake at dusk",)


def test_all_that_a_training_shows_is_known_before_it_and_may_be_cached():
    config = replace(TASK, tags=tags(4), prompts=("a sea --n boats",))
    known = set(texts_shown(config, [shards("train"), shards("val")]))
    shown = {*captions_shown("train", tags(4)), *captions_shown("val", tags(4))}
    assert shown | {"", "a sea", "boats"} <= known
    assert len(known) == 4 + len({CAPTION, "a lake at dusk", "", "a sea", "boats"})


def test_a_model_keeps_its_tags_and_an_older_one_has_none():
    task = text_task(tags()).config
    assert task_from_record(task_record(task)) == task
    older = {name: value for name, value in task_record(task).items() if name != "tags"}
    assert task_from_record(older).tags is None
