"""`pyramid params show`: what each key means."""

import pytest

from pdm import cli
from pdm.params.keys import all_keys, in_default
from pdm.presets import DEFAULT


@pytest.fixture
def shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")

    def shown(*words, code=0):
        assert cli.main(["params", "show", *words, "--params", str(DEFAULT)]) == code
        written = capsys.readouterr()
        return written.err if code else written.out

    return shown


def test_one_key_has_value_meaning_type_and_limits(shown):
    assert shown("sample.steps").splitlines() == [
        "sample.steps: 40",
        "    evaluations of the network; heun takes twice as many  "
        "(whole number, from 1 to 1,000,000)",
    ]


def test_all_keys_of_the_file_are_listed_section_by_section(shown):
    names = [line.partition(":")[0] for line in shown().splitlines() if line[0] != " "]
    expected = [key.name for key in all_keys() if in_default(key.name)]
    assert names == expected


def test_every_listed_key_has_its_meaning_below_it(shown):
    lines = shown().splitlines()
    for at, line in enumerate(lines):
        if "." in line.partition(":")[0] and line[0] != " ":
            assert lines[at + 1].startswith("    ")


def test_a_section_lists_what_could_be_there_too(shown):
    text = shown("autoencoder.adversarial")
    assert "autoencoder.adversarial: null\n" in text
    assert "autoencoder.adversarial.width: -\n" in text


def test_a_list_shows_the_values_of_all_items(shown):
    assert "autoencoder.model.levels.*.channels: 64, 32, 16, 8, 4\n" in shown("autoencoder.model")
    assert shown("autoencoder.model.levels.1.channels").splitlines()[0].endswith("channels: 32")


def test_a_key_of_several_kinds_of_source_has_the_meaning_of_each(shown):
    text = shown("scrape.sources")
    assert "(builtin | urls | folder)" in text
    assert "the list: a .txt, .csv or .parquet file; the folder" in text


def test_a_key_that_is_none_gets_the_nearest(shown):
    assert "did you mean sample.steps?" in shown("sample.stepps", code=2)
