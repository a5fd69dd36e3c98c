"""Prompts that are drawn during a training follow their options."""

from dataclasses import replace

import pytest
import torch
from shades import TASK
from tiny_chain import drawn_pictures

from pdm.data.shards.latents import LatentShards
from pdm.errors import BadInput
from pdm.params import parse
from pdm.params.override import override
from pdm.presets import DEFAULT, preset_text
from pdm.tasks.find import build_task
from pdm.tasks.task import refuse_to_encode
from pdm.tasks.text import TextFiles
from pdm.text.word_pieces import FILE_NAME, make_vocabulary, write_vocabulary
from pdm.training.monitoring.samples.grid import flow_sampler
from pdm.training.monitoring.samples.preview_batches import previews_of_task

PROMPTS = ("a lake", "a hill --l 3 --d 7 --n a house")


@pytest.fixture
def show(chain, tmp_path):
    """Makes what is shown of some prompts."""
    write_vocabulary(tmp_path / FILE_NAME, make_vocabulary([" ".join(PROMPTS)] * 3, 80))

    def make(prompts, *, guided=True):
        task = build_task(replace(TASK, prompts=prompts), {}, TextFiles(tmp_path))
        shards = LatentShards(chain.latents, "val")
        return task, previews_of_task(task, shards, refuse_to_encode, guided=guided)

    return make


def test_a_prompt_has_its_own_seeds_guidance_and_negative_prompt(show):
    task, of_numbers = show(PROMPTS)
    shown = of_numbers(range(4))
    assert list(shown.seeds) == [0, 7, 2, 8]
    assert shown.scales.tolist() == [1, 3, 1, 3]
    expected = task.condition_of_texts(["", "a house", "", "a house"])
    assert torch.equal(shown.negative.tokens, expected.tokens)


def test_prompts_without_options_are_drawn_as_ever_and_few_steps_without_guidance(show):
    plain = show(("a lake", "a hill"))[1](range(8, 12))
    assert (list(plain.seeds), plain.scales) == ([8, 9, 10, 11], None)
    assert show(PROMPTS, guided=False)[1](range(2)).scales is None


def test_guidance_changes_only_the_pictures_whose_prompts_ask_for_it(show):
    _, of_numbers = show(PROMPTS)
    shown = of_numbers(range(4))

    def network(pyramid, t, condition):
        sums = condition.tokens.float().sum(1).view(-1, 1, 1, 1)
        return tuple(level * 0.1 + sums for level in pyramid)

    t, pyramid = torch.zeros(4), (torch.randn(4, 2, 3, 3),)
    [found] = shown.velocity(network, torch.device("cpu"))(pyramid, t)
    [plain] = network(pyramid, t, shown.condition)
    [other] = network(pyramid, t, shown.negative)
    assert torch.equal(found[::2], plain[::2])
    torch.testing.assert_close(found[1::2], (other + 3 * (plain - other))[1::2])


def test_the_sheet_repeats_a_picture_whose_prompts_name_one_seed(chain, show):
    _, of_numbers = show(("a lake --d 5", "a hill", "a lake --d 5"))
    grid = drawn_pictures(chain).grid

    def network(pyramid, t, condition):
        return tuple(-level for level in pyramid)

    sampler = flow_sampler(None, len(grid.shapes))
    first, second, third = grid.draw(network, sampler, range(3), of_numbers)
    assert (first == third).all()
    assert (first != second).any()


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("a lake --s 9", "no --s, --w or --h"),
        ("a lake --w 64", "no --s, --w or --h"),
        ("a lake --n people", "a guidance scale beside --n people"),
    ],
)
def test_options_that_a_sheet_cannot_follow_are_refused_in_the_params(prompt, words):
    text = preset_text("task-text", None)
    text, _ = override(text, [f'diffusion.task.prompts=["{prompt}"]'])
    with pytest.raises(BadInput, match=r"diffusion\.task\.prompts") as error:
        parse(text, DEFAULT)
    assert words in str(error.value)
