"""`pyramid params show`: what each key means."""

import re

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
    assert "autoencoder.adversarial.width: 16\n" in text
    assert "autoencoder.adversarial.num_layers: -\n" in text


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
    ("name", "said"),
    [
        ("nothere", "nothere: no such key; `pyramid params show` lists all keys"),
        ("", "'': no such key; `pyramid params show` lists all keys"),
        ("sample.nothere", "`pyramid params show sample` lists its keys"),
        ("scrape.sources.0.nothere", "`pyramid params show scrape.sources` lists its keys"),
        ("sample.stepps", "did you mean sample.steps?"),
        ("scrape.sources.0.kid", "did you mean scrape.sources.*.kind?"),
        ("SAMPLE.STEPS", "did you mean sample.steps?"),
        ("cross_attention", "did you mean diffusion.model.cross_attention_from?"),
        ("stepps", "did you mean diffusion.distil.steps or sample.steps?"),
    ],
)
def test_only_keys_that_are_near_are_suggested(show_params, name, said):
    assert show_params(name, code=2).endswith(f"{said}\n")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("autoencoder.training.betas", "([number, number], of at least 0 and below 1)"),
        ("curate.buckets", "(list of [whole number, whole number] | null, from 1 to 65,535)"),
    ],
)
def test_the_types_of_a_list_are_printed_in_their_brackets(show_params, key, words):
    assert words in show_params(key)


@pytest.fixture
def show_changes(tmp_path, capsys):
    """Gives the lines of `params show --changed`, for the default file with some lines changed."""

    def show_changes(*words, **lines):
        text, path = DEFAULT.read_text(encoding="utf-8"), tmp_path / "mine.yaml"
        for key, value in lines.items():
            assert text.count(f"  {key}: ") == 1
            text = re.sub(rf"  {key}: .*", f"  {key}: {value}", text)
        path.write_text(text)
        assert cli.main(["params", "show", *words, "--params", str(path)]) == 0
        return capsys.readouterr().out.replace(str(path), "mine.yaml").splitlines()

    return show_changes


def test_only_what_differs_from_the_default_is_listed_on_request(show_changes):
    lines = {"sampler": "heun  # mine", "score_images": 32, "tile_px": "null", "prompts": "[a, b]"}
    assert show_changes("--changed", **lines) == [
        "sample.sampler: multistep -> heun",
        "sample.prompts: null -> [a, b]",
        "sample.tile_px: 384 -> null",
    ]
    assert show_changes("sample.tile_px", "--changed", **lines) == ["sample.tile_px: 384 -> null"]
    assert show_changes("curate", "--changed", **lines) == [
        "mine.yaml: every value is that of the default params"
    ]


def test_items_of_lists_and_keys_that_are_new_are_named(tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    text = DEFAULT.read_text(encoding="utf-8").replace("channels: 64, kl", "channels: 48, kl")
    path.write_text(text.replace("  eta: 0.0", "  eta: 0.0\n  ets: 1"))
    assert cli.main(["params", "show", "--changed", "--params", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "autoencoder.model.levels.0.channels: 64 -> 48",
        "sample.ets: - -> 1",
    ]


def test_a_preset_may_be_compared_with(show_changes):
    assert "sample.steps: 40 -> 20" in show_changes("sample", "--changed", "default", steps=20)
    found = show_changes("autoencoder.image_width_px", "--changed", "256")
    assert found == ["autoencoder.image_width_px: 256 -> 128"]


def test_a_mistyped_preset_or_section_is_refused_with_the_nearest(show_params):
    assert "did you mean 'model-tiny'" in show_params("--changed", "modle-tiny", code=2)
    assert "did you mean sample" in show_params("sampel", "--changed", code=2)
