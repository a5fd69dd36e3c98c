from dataclasses import replace

import pytest
import torch
import yaml

from pdm import cli, params, presets
from pdm.errors import BadInput
from pdm.models.autoencoder import PyramidAutoencoder
from pdm.models.unet import PyramidUNet
from pdm.params.override import set_values

DATA = ("people2k", "scapes2k")
MODELS = ("model-2048x1024", "model-2048x2048", "model-256x256", "model-tiny")
LDM = "model-ldm-256x256"
TASKS = (
    *("task-class", "task-inpainting", "task-layout"),
    *("task-semantic", "task-super-resolution", "task-text"),
)
BUCKETS = ("buckets-1024", "buckets-2048x1024", "buckets-512")
NAMES = (*BUCKETS, *sorted((*MODELS, LDM)), *DATA, "showcase", "showcase-photographs", *TASKS)


@pytest.fixture
def output_of(capsys):
    """Runs the command with these words and gives what it wrote, if it ended well."""

    def output_of(*words):
        code = cli.main(["preset", *map(str, words)])
        written = capsys.readouterr()
        assert code == 0, written.err
        return written.out

    return output_of


def refusal(capsys, *words):
    assert cli.main(["preset", *map(str, words)]) == 2
    return capsys.readouterr().err


def flat(values, path=""):
    if isinstance(values, dict):
        return {k: v for key in values for k, v in flat(values[key], f"{path}{key}.").items()}
    return {path[:-1]: values}


def values_of(text):
    return flat(yaml.safe_load(text))


def changed(text):
    default = values_of(presets.DEFAULT.read_text())
    found = values_of(text)
    missing = object()
    keys = default.keys() | found.keys()
    return {key for key in keys if default.get(key, missing) != found.get(key, missing)}


def test_without_a_name_all_are_listed_with_a_line_each(output_of):
    lines = [line.split(maxsplit=1) for line in output_of().splitlines()]
    assert [name for name, _ in lines] == list(NAMES)
    assert all(description for _, description in lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_a_complete_valid_file(name, output_of, tmp_path, capsys):
    path = tmp_path / "my.yaml"
    assert output_of(name, "--output", path) == ""
    assert cli.main(["params", "check", "--params", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}: all values fit\n"
    assert path.read_text() == output_of(name)


def test_the_crops_are_of_the_size_that_the_name_says(tmp_path, output_of):
    sizes = {}
    for name in DATA:
        path = tmp_path / f"{name}.yaml"
        path.write_text(output_of(name))
        config = params.load(path)
        sizes[name] = (config.curate.width_px, config.curate.height_px)
        assert (config.curate.people is not None) == (name == "people2k")
    assert sizes == {"people2k": (2048, 2048), "scapes2k": (2048, 1024)}


def test_only_what_must_differ_differs(output_of):
    both = {
        *("scrape.sources", "scrape.num_shards", "curate.min_kept"),
        *("shard.num_train_shards", "shard.num_val_shards", "shard.val_share"),
    }
    assert changed(output_of("scapes2k")) == both
    # A mapping takes the place of null.
    people = ("people", "people.min_faces", "people.max_faces", "people.min_face_share")
    limits = ("height_px", "max_black_share", "max_white_share")
    assert changed(output_of("people2k")) == both | {
        "autoencoder.image_width_px",
        *(f"curate.{name}" for name in people + limits),
    }


@pytest.mark.parametrize("name", [*MODELS, *DATA])
def test_the_comments_stay_but_for_those_on_the_sources(name, output_of):
    def comments(text):
        return {line.split("#", 1)[1] for line in text.splitlines() if "#" in line}

    default, written = presets.DEFAULT.read_text(), output_of(name)
    lost = comments(default) - comments(written)
    expected = set()
    if name in DATA:
        expected |= comments(default[default.index("kind: builtin") : default.index("num_shards:")])
    if "adversarial: null" in written:
        begin, end = default.index("kind: projected"), default.index("  gradient_loss_weight:")
        expected |= comments(default[begin:end])
    assert lost == expected


def test_a_preset_on_a_file_keeps_its_sources_and_other_values(tmp_path, output_of):
    mine = tmp_path / "mine.yaml"
    values = yaml.safe_load(presets.DEFAULT.read_text())
    values["scrape"]["sources"] = [{"kind": "folder", "path": "here", "licence": "CC0-1.0"}]
    values["sample"]["seed"] = 7
    mine.write_text(yaml.safe_dump(values))
    found = yaml.safe_load(output_of("people2k", "--from", mine))
    assert found["scrape"]["sources"] == values["scrape"]["sources"]
    assert found["sample"]["seed"] == 7
    assert found["curate"]["height_px"] == 2048
    mine.write_text(output_of("people2k", "--from", mine))
    params.load(mine)


@pytest.fixture
def loaded(tmp_path, output_of):
    """The values of a preset's file."""

    def loaded(name):
        path = tmp_path / "loaded.yaml"
        path.write_text(output_of(name))
        return params.load(path)

    return loaded


@pytest.mark.parametrize("name", MODELS)
def test_a_model_preset_changes_the_models_and_the_shape_of_the_crops_only(name, output_of):
    found = changed(output_of(name))
    assert {key.split(".")[0] for key in found} <= {
        *("autoencoder", "latents", "diffusion", "sample", "curate", "evaluate")
    }
    assert {key for key in found if key.startswith("curate.")} <= {"curate.height_px"}
    assert {key for key in found if key.startswith("evaluate.")} <= {"evaluate.crop_px"}


@pytest.mark.parametrize(
    ("name", "size", "values", "coarsest", "parameters", "of_the_unet"),
    [
        # Values and levels: as docs/decisions/levels.md lists them.
        ("model-2048x1024", (1024, 2048), 61_440, (64, 2, 4), 106_193_734, 338_568_012),
        ("model-2048x2048", (2048, 2048), 122_368, (64, 4, 4), 106_193_734, 338_568_012),
        ("model-256x256", (256, 256), 7_488, (16, 4, 4), 61_757_837, 66_882_604),
        ("model-tiny", (32, 64), 928, (16, 2, 4), 502_583, 733_308),
        ("scapes2k", (64, 128), 3_904, (32, 2, 4), 2_631_378, 6_047_228),
    ],
)
def test_a_models_levels_and_parameters_are_those_that_are_stated(
    loaded, name, size, values, coarsest, parameters, of_the_unet
):
    config = loaded(name)
    assert (config.autoencoder.image_height_px, config.autoencoder.image_width_px) == size
    # Spectral norms add no parameters, and their first iterations are most of the time.
    plain = {"encoder_spectral_norm": False, "decoder_spectral_norm": False}
    with torch.device("meta"):
        model = PyramidAutoencoder(replace(config.autoencoder.model, **plain)).eval()
        pyramid = model.encode(torch.empty(1, 3, *size))
        assert model.decode(pyramid).shape == (1, 3, *size)
        network = replace(config.diffusion.model, spectral_norm=False)
        unet = PyramidUNet(network, model.level_channels, model.level_downsamplings)
    assert sum(level[0].numel() for level in pyramid) == values
    assert pyramid[1].shape[1:] == coarsest  # wide pictures keep their coarse levels
    assert sum(weight.numel() for weight in model.parameters()) == parameters
    assert sum(weight.numel() for weight in unet.parameters()) == of_the_unet


def test_a_model_preset_can_be_applied_to_ones_own_file(tmp_path, output_of):
    mine = tmp_path / "mine.yaml"
    mine.write_text(output_of("scapes2k"))
    mine.write_text(output_of("model-2048x1024", "--from", mine))
    config = params.load(mine)
    assert config.scrape.sources[0].kind == "urls"
    assert len(config.autoencoder.model.levels) == 7


@pytest.mark.parametrize(
    ("before", "name"),
    [
        ("buckets-1024", "model-256x256"),
        ("buckets-2048x1024", "model-2048x2048"),
        ("model-2048x1024", "model-tiny"),
        ("showcase", "model-2048x1024"),
        ("showcase", "model-tiny"),
    ],
)
def test_a_model_preset_fits_a_file_of_any_other_model(before, name, tmp_path, output_of, loaded):
    mine = tmp_path / "mine.yaml"
    mine.write_text(output_of(before))
    output_of(name, "--from", mine, "--output", mine, "--force")
    changed, alone = params.load(mine), loaded(name)
    assert changed.autoencoder.model.levels == alone.autoencoder.model.levels
    assert changed.diffusion.model.widths == alone.diffusion.model.widths


def test_what_a_file_keeps_and_the_preset_does_not_fit_is_said_when_it_is_written(
    tmp_path, output_of, capsys
):
    mine, other = tmp_path / "mine.yaml", tmp_path / "other.yaml"
    mine.write_text(output_of("scapes2k"))
    said = refusal(capsys, "task-text", "--from", mine, "--output", other)
    assert f"{other} is written, but some values that it keeps do not fit task-text" in said
    line = other.read_text().partition("\n  sources:")[0].count("\n") + 2
    assert f"{other}:{line}: scrape.sources: expected a source with captions" in said
    assert "kind: text" in other.read_text()


@pytest.mark.parametrize("words", [["--output", "a.yaml"], ["--from", "a.yaml"], ["--force"]])
def test_options_without_the_name_of_a_preset_are_not_ignored(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert f"{words[0]} requires the name of a preset" in refusal(capsys, *words)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_preset_on_ones_own_file_changes_the_task_and_what_it_needs(
    name, tmp_path, output_of
):
    mine = tmp_path / "mine.yaml"
    mine.write_text(output_of("model-tiny"))
    found = yaml.safe_load(output_of(name, "--from", mine))
    before = values_of(mine.read_text())
    after = {k: v for k, v in flat(found).items() if not k.startswith("diffusion.task.")}
    if given := {"task-semantic": "maps", "task-layout": "boxes"}.get(name):
        [source] = before["scrape.sources"]
        assert after.pop("scrape.sources") == [source | {given: True}]
    needs = {
        *("latents.keep_pictures", "diffusion.condition_dropout"),
        *("sample.guidance_scale", "sample.guide", "sample.guide.kind"),
    }
    if name in ("task-layout", "task-text"):
        needs.add("diffusion.training.optimizer")
    if name == "task-layout":
        needs.add("diffusion.model.cross_attention_from")
    assert {key for key in after if after[key] != before.get(key)} <= needs
    assert found["diffusion"]["task"]["kind"] == name.removeprefix("task-").replace("-", "_")
    needs = "true" if name in ("task-inpainting", "task-super-resolution") else "false"
    assert f"keep_pictures: {needs}" in output_of(name, "--from", mine)


def test_a_preset_with_maps_gives_them_to_built_in_landscapes_and_keeps_comments(
    tmp_path, output_of
):
    mine = tmp_path / "mine.yaml"
    mine.write_text(presets.DEFAULT.read_text())
    lines = output_of("task-semantic", "--from", mine).splitlines()
    kept = [line for line in presets.DEFAULT.read_text().splitlines() if "- {kind: " in line]
    assert [line for line in lines if "# - {kind: " in line] == kept
    assert lines[lines.index("      maps: true") - 1].strip() == "seed: 0"
    mine.write_text(output_of("task-semantic", "--from", mine))
    assert params.load(mine).scrape.sources[0].maps


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("task-semantic", {"kind": "folder", "path": "here"}, "maps: FOLDER"),
        ("task-semantic", {"kind": "urls", "path": "a.csv", "url_column": "url"}, "maps: true"),
        ("task-text", {"kind": "urls", "path": "a.csv", "url_column": "url"}, "caption_column"),
        ("task-layout", {"kind": "urls", "path": "a.csv", "url_column": "url"}, "boxes_column"),
    ],
)
def test_sources_without_what_the_task_learns_from_are_refused_before_any_work(
    name, source, words, tmp_path, output_of
):
    values = yaml.safe_load(output_of(name))
    values["scrape"]["sources"] = [source]
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(BadInput, match=r"scrape\.sources") as error:
        params.load(path)
    assert words in str(error.value)


def test_ldm_in_place_of_the_pyramid_needs_no_settings_of_the_pyramid(loaded):
    ours, ldm = loaded("model-256x256"), loaded(LDM)
    assert ldm.autoencoder.model is None
    assert ldm.diffusion.model is None
    assert ldm.autoencoder.network.name == "kl-f8"
    assert ldm.diffusion.network.name == "churches"
    for section in (lambda one: one.autoencoder, lambda one: one.diffusion):
        assert section(ours).training == section(ldm).training  # a comparison of networks alone


def test_from_ldm_back_to_the_pyramid_gives_the_pyramids_values(tmp_path, output_of, loaded):
    path = tmp_path / "mine.yaml"
    path.write_text(output_of(LDM))
    path.write_text(output_of("model-256x256", "--from", path))
    found, ours = params.load(path), loaded("model-256x256")
    assert replace(found, sample=ours.sample) == ours
    assert replace(found.sample, tile_px=ours.sample.tile_px) == ours.sample


@pytest.mark.parametrize("section", ["autoencoder", "diffusion"])
def test_no_network_at_all_is_refused(section, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(presets.DEFAULT.read_text())
    with pytest.raises(BadInput, match=rf"{section}\.model: expected a network, or a baseline"):
        set_values(path, [f"{section}.model=null"])


def test_a_preset_back_and_forth_gives_the_same_values(tmp_path, output_of):
    there, back = tmp_path / "there.yaml", tmp_path / "back.yaml"
    there.write_text(output_of("scapes2k"))
    back.write_text(output_of("scapes2k", "--from", there))
    assert back.read_text() == there.read_text()


def test_a_file_that_exists_is_not_replaced_unless_forced(tmp_path, output_of, capsys):
    path = tmp_path / "params.yaml"
    path.write_text("mine")
    assert "--force" in refusal(capsys, "scapes2k", "--output", path)
    assert path.read_text() == "mine"
    output_of("scapes2k", "--output", path, "--force")
    params.load(path)


@pytest.mark.parametrize(
    ("short", "name"),
    [("2048x2048", "model-2048x2048"), ("256", "model-256x256"), ("tiny", "model-tiny")],
)
def test_a_preset_of_a_model_is_found_by_its_size(short, name, output_of):
    assert output_of(short) == output_of(name)


def test_an_unknown_name_is_refused_with_the_nearest(capsys):
    said = refusal(capsys, "people4k")
    assert "'people4k'" in said
    assert "did you mean 'people2k'" in said


def test_a_name_like_no_other_is_refused_without_a_guess(capsys):
    assert "did you mean" not in refusal(capsys, "foo")


def test_a_broken_file_to_start_from_is_named(tmp_path, capsys):
    path = tmp_path / "broken.yaml"
    path.write_text("curate: {}")
    assert str(path) in refusal(capsys, "people2k", "--from", path)
