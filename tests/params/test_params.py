"""Values of params.yaml: keys, types, ranges, and values that must fit each other."""

import re
import shutil

import pytest
import yaml
from dvc.utils.serialize import modify_yaml
from shipped_params import SHIPPED, put

from pdm import params
from pdm.errors import BadInput

PROJECTED = {
    "kind": "projected",
    "start_images": 0,
    "weight": 0.1,
    "width": 16,
    "learning_rate": 1.0e-3,
}


def test_the_shipped_file_fits():
    loaded = params.load(SHIPPED)
    assert loaded.curate.width_px == 2 * loaded.curate.height_px


def test_a_whole_number_may_stand_for_a_fraction(tmp_path):
    values = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    values["scrape"]["timeout_seconds"] = 10
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert params.load(path).scrape.timeout_seconds == 10


# keys


@pytest.mark.parametrize(
    ("path", "known"),
    [
        (("sample", "step"), "steps"),
        (("autoencoder", "training", "learning_rates"), "learning_rate"),
        (("autoencoder", "model", "levels", 1, "chanels"), "channels"),
        (("scrape", "sources", 0, "num_landscape"), "num_landscapes"),
        (("difusion",), "diffusion"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(refused, path, known):
    text = refused(put(*path, 7))
    dotted = ".".join(map(str, path))
    assert text == f"{dotted}: unknown key (value 7); did you mean '{known}'?"


@pytest.mark.parametrize(
    ("path", "command"),
    [
        (("nothere",), "`pyramid params show` lists all keys"),
        (("sample", "nothere"), "`pyramid params show sample` lists its keys"),
        (
            ("scrape", "sources", 0, "nothere"),
            "`pyramid params show scrape.sources` lists its keys",
        ),
    ],
)
def test_an_unknown_key_that_is_near_none_is_named_with_how_to_list_the_known(
    refused, path, command
):
    dotted = ".".join(map(str, path))
    assert refused(put(*path, 7)) == f"{dotted}: unknown key (value 7); {command}"


def test_a_missing_section_is_named(refused):
    assert refused(lambda values: values.pop("latents")).startswith(
        "latents: missing; `pyramid params upgrade"
    )


def test_a_missing_key_is_named(refused):
    text = refused(lambda values: values["sample"].pop("steps"))
    assert text.startswith("sample.steps: missing; `pyramid params upgrade --params ")


def test_a_misspelt_key_gives_two_lines_each_with_the_file(tmp_path):
    text = SHIPPED.read_text(encoding="utf-8").replace("clamp_latents:", "clamp_latent:")
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        params.load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(
        re.match(rf"{re.escape(str(path))}:\d+: sample.clamp_latent", line) for line in lines
    )


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a"),
        ("a:\n  b: 1\n  b: 2\n", 3, "b"),
        ("a: [{c: 1, c: 1}]", 1, "c"),
    ],
)
def test_a_key_that_appears_twice_is_refused(refused_text, text, line, key):
    assert f"line {line}: key '{key}' appears twice" in refused_text(text)


# types


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("sample", "steps"), "25", "a whole number, got '25'; write it without quotes"),
        (("sample", "steps"), 2.5, "a whole number, got 2.5"),
        (("sample", "steps"), True, "a whole number, got true"),
        (("sample", "steps"), None, "a whole number, got null"),
        (("sample", "steps"), [25], "a whole number, got [25]"),
        (("sample", "full_size_picture"), 1, "true or false, got 1"),
        (
            ("sample", "full_size_picture"),
            "yes",
            "true or false, got 'yes'; write true or false, without quotes",
        ),
        (("scrape", "removed"), 1900.0, "text, got 1900.0; put it in quotes"),
        (
            ("sample", "sampler"),
            "rk45",
            "'euler', 'heun', 'multistep', 'adaptive' or 'ddim', got 'rk45'",
        ),
        (("scrape", "timeout_seconds"), "ten", "a number, got 'ten'"),
        (("scrape", "timeout_seconds"), "nan", "a number, got 'nan'"),  # quotes are not the fault
        (("curate", "background"), "white", "a list, got 'white'"),
        (("scrape", "sources"), [], "at least one source, got []"),
        (
            ("autoencoder", "model", "levels", 1, "downsampling"),
            "whole",
            "a whole number or 'global', got 'whole'",
        ),
    ],
)
def test_a_wrong_type_is_named_with_what_was_expected(refused, path, value, expected):
    assert refused(put(*path, value)) == f"{'.'.join(map(str, path))}: expected {expected}"


def test_a_section_that_is_no_mapping_is_named(refused):
    text = refused(put("sample", 3))
    assert text.startswith("sample: expected")
    assert text.endswith("got 3")


# DVC writes a changed number as Python does, which YAML 1.1 would take for text.
@pytest.mark.parametrize("text", ["5e-05", "0.00005", "5.0e-5", "5E-5", "+5e-05"])
def test_a_small_number_may_be_written_in_any_way_of_yaml(tmp_path, text):
    loaded = load_with(tmp_path, "learning_rate: 1.0e-3", f"learning_rate: {text}")
    assert loaded.diffusion.training.learning_rate == 5e-5


@pytest.mark.parametrize("text", ["128e2", "1.28e+4", "12800", "12_800"])
def test_a_whole_number_may_have_an_exponent(tmp_path, text):
    loaded = load_with(tmp_path, "total_images: 12800", f"total_images: {text}")
    total = loaded.diffusion.training.total_images
    assert (type(total), total) == (int, 12800)


def load_with(folder, old, new):
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = folder / "params.yaml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return params.load(path)


@pytest.mark.parametrize("value", ["1e-3", "1e5", "-2e-4"])
def test_a_number_in_quotes_is_text(refused, value):
    text = refused(put("autoencoder", "training", "learning_rate", value))
    assert text.endswith(f"expected a number, got '{value}'; write it without quotes")


def test_a_file_that_dvc_rewrote_holds_the_value(tmp_path):
    path = tmp_path / "params.yaml"
    shutil.copy(SHIPPED, path)
    with modify_yaml(path) as values:  # what `dvc exp run -S` does
        values["diffusion"]["training"]["learning_rate"] = 0.00005
    assert "learning_rate: 5e-05 " in path.read_text()
    assert params.load(path).diffusion.training.learning_rate == 0.00005


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_finite_number_is_refused(refused, value):
    text = refused(put("autoencoder", "training", "learning_rate", value))
    assert text == f"autoencoder.training.learning_rate: expected a finite number, got {value}"


def test_a_date_is_no_number(refused_text):
    text = SHIPPED.read_text(encoding="utf-8").replace("steps: 40", "steps: 2026-01-01")
    assert "sample.steps: expected a whole number" in refused_text(text)


# values


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("sample", "steps"), 0, "sample.steps: expected a number from 1 to 1,000,000, got 0"),
        (
            ("sample", "seed"),
            -1,
            "sample.seed: expected a number from 0 to 4,611,686",
        ),
        (
            ("shard", "val_share"),
            1.0,
            "expected a number above 0 and below 1, got 1.0",
        ),
        (("shard", "jpeg_quality"), 101, "shard.jpeg_quality: expected a number from 1 to 100"),
        (
            ("autoencoder", "image_width_px"),
            130,
            "autoencoder.image_width_px: expected a multiple of the largest downsampling (32), "
            "got 130",
        ),
        (
            ("autoencoder", "training", "total_images"),
            12801,
            "autoencoder.training.total_images: expected a multiple of batch_size (",
        ),
        (
            ("diffusion", "training", "keep_every_images"),
            1600,
            "diffusion.training.keep_every_images: expected a multiple of save_every_images (3200)",
        ),
        (
            ("autoencoder", "model", "levels", 1, "downsampling"),
            33,
            'autoencoder.model.levels.1.downsampling: expected "global" or a power of two',
        ),
        (
            ("autoencoder", "model", "levels", 1, "kl_weight"),
            -1.0e-6,
            "autoencoder.model.levels.1.kl_weight: expected a number of at least 0, got -1e-06",
        ),
        (
            ("autoencoder", "perceptual"),
            {"path": "lpips.pt", "sha256": "abc", "weight": 1.0},
            "autoencoder.perceptual.sha256: expected 64 digits from 0 to f, as sha256sum prints",
        ),
        (
            ("autoencoder", "adversarial"),
            {
                "start_images": 0,
                "weight": 0.5,
                "width": 64,
                "num_layers": 5,
                "learning_rate": 1.0e-4,
            },
            "autoencoder.adversarial.num_layers: expected fewer layers: this many need images of "
            "at least 96 x 96 px, got 5",
        ),
        (
            ("autoencoder", "adversarial"),
            {"start_images": 0, "weight": 0.5, "width": 64, "learning_rate": 1.0e-4},
            "autoencoder.adversarial.num_layers: expected a number of layers with kind: patch",
        ),
        (
            ("autoencoder", "perceptual"),
            None,
            "autoencoder.adversarial.kind: expected patch, or adversarial: null, without "
            "perceptual.network, whose features a projected one sees",
        ),
        (
            ("autoencoder", "adversarial"),
            PROJECTED | {"num_layers": 3},
            "autoencoder.adversarial.num_layers: expected none with kind: projected, got 3",
        ),
        (
            ("autoencoder", "training", "strategy"),
            "fsdp",
            "autoencoder.training.strategy: expected ddp, or autoencoder.adversarial: null",
        ),
        (("autoencoder", "crop_px"), 65, "autoencoder.crop_px: expected a number from 1 to the"),
        (("scrape", "sources"), [], "scrape.sources: expected at least one source"),
        (("sample", "tile_px"), 100, "sample.tile_px: expected a positive multiple of 64"),
        (
            ("autoencoder", "baseline"),
            {"name": "kl-f8", "base_width": 4, "latent_scale": "channel", "latent_weight": 1.0e-6},
            "autoencoder.baseline.base_width: expected a number from 8 to",
        ),
    ],
)
def test_an_impossible_value_is_named_with_its_limit(refused, path, value, expected):
    assert expected in refused(put(*path, value))
