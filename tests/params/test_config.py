"""Settings as classes: what they are read from, and what depends on which of them."""

import dataclasses
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pdm import params
from pdm.cli import main
from pdm.config import renames
from pdm.config.fields import Mark, fields_with, fields_without
from pdm.config.networks.autoencoder_model import AutoencoderModelConfig
from pdm.config.networks.condition import ConditionConfig
from pdm.config.networks.unet import UNetConfig
from pdm.config.records import from_record
from pdm.config.sampling.any_size import EnlargerConfig
from pdm.config.stages.curate import CurateConfig
from pdm.config.stages.evaluate import EvaluateConfig
from pdm.config.stages.sample import GuideConfig, SampleConfig
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.inference.champion import WITHOUT_EFFECT, settings_of_samples
from pdm.inference.sample_settings import GUIDANCE_SETTINGS, SIZE_SETTINGS, settings_of
from pdm.params import parse
from pdm.params.keys import DEFAULT
from pdm.params.override import override
from pdm.presets import preset_text

LOADED = params.load(DEFAULT)
UNET = replace(
    LOADED.diffusion.model,
    windows=((0.0, 0.6), (0.1, 0.7), (0.2, 0.8), (0.3, 0.9), (0.4, 1.0)),
    condition=ConditionConfig(num_classes=3, token_width=0, map_channels=0),
)
PLAIN = replace(LOADED.sample, guidance_scale=1.0, guide=None)
GUIDED = replace(
    LOADED.sample,
    precision="bfloat16",
    guidance_scale=2.0,
    guidance_interval=(0.2, 0.9),
    classes=("sea", "dunes"),
    size=(600, 200),
    enlarger=EnlargerConfig(path="other/models", sha256="0" * 64),
    guide=GuideConfig(kind="ema", ema_length=0.1, images_seen=320),
)


def as_json(config):
    return json.loads(json.dumps(asdict(config)))


# records


@pytest.mark.parametrize(
    ("config", "section"),
    [
        (LOADED.autoencoder.model, "autoencoder.model"),
        (LOADED.diffusion.model, "diffusion.model"),
        (UNET, "diffusion.model"),
        (LOADED.diffusion.training, "diffusion.training"),
        (GUIDED, "sample"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_a_record_gives_the_settings_back(config, section):
    assert from_record(type(config), as_json(config), section) == config


def test_a_record_of_an_older_version_is_read_by_its_names(monkeypatch):
    monkeypatch.setattr(
        renames,
        "RENAMED_KEYS",
        {
            "autoencoder.model.normalisation": "autoencoder.model.norm",
            "autoencoder.model.levels.*.kl": "autoencoder.model.levels.*.kl_weight",
        },
    )
    monkeypatch.setattr(renames, "RENAMED_VALUES", {"autoencoder.model.norm": {"p": "pixel"}})
    record = as_json(LOADED.autoencoder.model)
    del record["norm"]
    record["normalisation"] = "p"
    for level in record["levels"]:
        level["kl"] = level.pop("kl_weight")
    found = from_record(AutoencoderModelConfig, record, "autoencoder.model")
    assert found == LOADED.autoencoder.model


@pytest.mark.parametrize("change", [{"colour": "red"}, {"widths": [0]}, {"windows": [[1]]}])
def test_a_record_that_does_not_fit_is_refused(change):
    with pytest.raises((TypeError, ValueError)):
        from_record(UNetConfig, as_json(UNET) | change, "diffusion.model")


# marks


def test_marks_say_what_results_depend_on():
    assert fields_without(CurateConfig, Mark.LIMIT_OF_SCORES) == (
        *("width_px", "height_px", "buckets", "max_megapixels", "decode_seconds", "background"),
        "people",
    )
    assert fields_with(EvaluateConfig, Mark.NOT_IN_FEATURES) == (
        *("num_projections", "features", "num_replicates", "num_neighbours"),
    )
    assert set(fields_with(SampleConfig, Mark.NOT_IN_SAMPLES)) == {
        *("num_images", "seed", "batch_size", "previews", "full_size_picture", "tile_px"),
        *("prompts", "negative_prompt", "layouts"),
    }


def test_every_setting_that_a_sample_depends_on_is_stored_with_it():
    unused = {*GUIDANCE_SETTINGS, "classes", "precision", *SIZE_SETTINGS}
    every = {field.name for field in dataclasses.fields(SampleConfig)}
    assert set(settings_of(GUIDED)) == every - set(fields_with(SampleConfig, Mark.NOT_IN_SAMPLES))
    assert set(settings_of(PLAIN)) == set(settings_of(GUIDED)) - unused
    assert set(WITHOUT_EFFECT) == every - set(settings_of(PLAIN))


@pytest.mark.parametrize("config", [PLAIN, GUIDED], ids=["plain", "guided"])
def test_the_champion_draws_by_the_settings_of_the_scored_samples(config, tmp_path):
    path = Path(tmp_path / "samples.json")
    path.write_text(json.dumps(settings_of(config) | {"samples": []}))
    found = settings_of_samples(path)
    assert settings_of(found) == settings_of(config)


def test_every_field_of_a_guide_belongs_to_a_kind():
    fields = {field.name for field in dataclasses.fields(GuideConfig)} - {"kind"}
    assert {name for names in GuideConfig.FIELDS.values() for name in names} == fields


# files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("sample.prompts=prompts.txt", "sample.prompts: expected a list, a file as {path: "),
        ("sample.prompts={path: a.txt}", "sample.prompts.sha256: missing"),
        ("sample.prompts={path: a.txt, sha256: 7}", "sample.prompts.sha256: expected"),
        ("sample.prompts={path: a.txt, sha: 7}", "did you mean 'sha256'?"),
        ("sample.prompts=[7]", "sample.prompts.0: expected text, got 7"),
        ("diffusion.task.encoder.vocabulary={path: a.txt}", "encoder.vocabulary.sha256: missing"),
    ],
)
def test_a_file_needs_its_digest_so_that_another_one_is_noticed(change, message):
    text, _ = override(preset_text("task-text", None), [change])
    with pytest.raises(BadInput) as caught:
        parse(text, Path("params.yaml"))
    assert message in str(caught.value)
    assert "FileConfig" not in str(caught.value)
    assert "tuple" not in str(caught.value)


@pytest.mark.parametrize("key", ["sample.prompts", "diffusion.task.encoder.vocabulary"])
def test_an_edited_file_is_noticed_by_the_check_before_a_run(key, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("words.txt").write_text("a lake")
    change = f"{key}={{path: words.txt, sha256: {sha256_of(Path('words.txt'))}}}"
    text, _ = override(preset_text("task-text", None), [change])
    Path("params.yaml").write_text(text)
    assert main(["params", "check"]) == 0
    Path("words.txt").write_text("a hill")
    assert main(["params", "check"]) == 2
    assert f"{key}.path: words.txt has sha256" in capsys.readouterr().err
