"""`pyramid params show`: what each key means."""

import pytest

from pdm import cli
from pdm.params.keys import all_keys, in_default
from pdm.presets import DEFAULT


@pytest.fixture
def show_params(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")

    def show_params(*words, code=0):
        assert cli.main(["params", "show", *words, "--params", str(DEFAULT)]) == code
        written = capsys.readouterr()
        return written.err if code else written.out

    return show_params


def test_one_key_has_value_meaning_type_and_limits(show_params):
    assert show_params("sample.steps").splitlines() == [
        "sample.steps: 40",
        "    sampler steps; heun and guidance each double evaluations, adaptive chooses its own  "
        "(whole number, from 1 to 1,000,000)",
    ]


def test_all_keys_of_the_file_are_listed_section_by_section(show_params):
    names = [line.partition(":")[0] for line in show_params().splitlines() if line[0] != " "]
    expected = [key.name for key in all_keys() if in_default(key.name)]
    assert names == expected


def test_every_listed_key_has_its_meaning_below_it(show_params):
    lines = show_params().splitlines()
    for at, line in enumerate(lines):
        if "." in line.partition(":")[0] and line[0] != " ":
            assert lines[at + 1].startswith("    ")


def test_a_section_lists_what_could_be_there_too(show_params):
    text = show_params("autoencoder.adversarial")
    assert "autoencoder.adversarial: null\n" in text
    assert "autoencoder.adversarial.width: -\n" in text


def test_a_list_shows_the_values_of_all_items(show_params):
    assert "autoencoder.model.levels.*.channels: 64, 32, 16, 8, 4\n" in show_params(
        "autoencoder.model"
    )
    assert (
        show_params("autoencoder.model.levels.1.channels").splitlines()[0].endswith("channels: 32")
    )


def test_a_key_of_several_kinds_of_source_has_the_meaning_of_each(show_params):
    text = show_params("scrape.sources")
    assert "(builtin | urls | folder)" in text
    assert "the list: a .txt, .csv or .parquet file; the folder" in text


def test_an_unknown_key_gets_the_nearest_key(show_params):
    assert "did you mean sample.steps?" in show_params("sample.stepps", code=2)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("autoencoder.training.betas", "([number, number], of at least 0 and below 1)"),
        ("curate.buckets", "(list of [whole number, whole number] | null, from 1 to 65,535)"),
    ],
)
def test_the_types_of_a_list_are_printed_in_their_brackets(show_params, key, words):
    assert words in show_params(key)
