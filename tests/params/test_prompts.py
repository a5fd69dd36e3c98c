"""Prompts with options, as people write them for kohya's scripts."""

import pytest

from pdm.config.sampling.prompts import Prompt, parse_prompt, parse_prompts


def test_options_follow_the_text_in_any_order():
    line = "a red sunset, --l 7.5 over a lake"
    assert parse_prompt("a lake --n people, boats --w 256 --h 128 --d 3 --s 40 --l 7.5") == Prompt(
        "a lake",
        negative="people, boats",
        seed=3,
        steps=40,
        guidance_scale=7.5,
        width_px=256,
        height_px=128,
    )
    assert parse_prompt("a lake --d 3 --n") == Prompt("a lake", negative="", seed=3)
    assert parse_prompt("--d 0") == Prompt("", seed=0)
    with pytest.raises(ValueError, match=r"--l: expected a number of at least 0, got '7\.5 over"):
        parse_prompt(line)


def test_dashes_in_a_text_are_no_options():
    assert parse_prompt("a well-lit bay -- at dawn --s 4") == Prompt(
        "a well-lit bay -- at dawn", steps=4
    )


def test_blank_lines_and_comments_are_skipped():
    assert parse_prompts(["# mine", "", " a lake ", "a dune --d 1"]) == (
        Prompt("a lake"),
        Prompt("a dune", seed=1),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "a lake --q 3",
            "has the option --q; the options of a prompt are --w, --h, --d, --s, --l, --n",
        ),
        ("a lake --d 3 --d 4", "has the option --d twice"),
        ("a lake --d 3.5", "--d: expected a whole number from 0 to .*, got '3.5'"),
        ("a lake --w 0", "--w: expected a whole number from 1 to 18,432, got '0'"),
        ("a lake --h 65520", "--h: expected a whole number from 1 to 18,432, got '65520'"),
        ("a lake --s 2000000", "--s: expected a whole number from 1 to 1,000,000, got '2000000'"),
        ("a lake --l inf", "--l: expected a number of at least 0, got 'inf'"),
        ("a lake --l nan", "--l: expected a number of at least 0, got 'nan'"),
    ],
)
def test_an_option_that_does_not_fit_is_named(line, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        parse_prompt(line)
