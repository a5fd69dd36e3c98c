"""From a drawn picture, wherever it lies, back to the URLs and licences behind it."""

import json
import shutil
from dataclasses import replace

import pytest
from PIL import Image
from tiny_chain import SAMPLE, sample_from

from pdm import cli
from pdm.data import decisions, provenance
from pdm.data.shards import listing, manifest
from pdm.errors import BadInput
from pdm.files import sha256_of
from pdm.lineage.formats import as_json, as_text
from pdm.lineage.trace import NOT_KNOWN, Places, trace
from pdm.tracking.track import track

URL = "https://example.org/{}.jpg"


@pytest.fixture
def places(chain, tmp_path, monkeypatch):
    """A project whose models drew `samples`; its fourth training picture was taken back since."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/none.db")
    found = Places(*(tmp_path / name for name in ("models", "samples", "runs", "decisions")))
    for stage in ("autoencoder", "diffusion"):
        shutil.copytree(getattr(chain, stage), found.models / stage)
    sample_from(chain, SAMPLE, found.samples)
    train = [one for one in listing.read(chain.shards) if one.split == "train"]
    rows = [
        {"key": one.key, "sha256": one.sha256, "url": URL.format(number), "licence": licence}
        for number, (one, licence) in enumerate(
            zip(train, ("CC0-1.0", "CC-BY-4.0", "CC0-1.0", None, "x"), strict=True)
        )
    ]
    found.decisions.mkdir()
    decisions.save(found.decisions, rows[:3] + rows[4:])
    return found


def test_a_picture_tells_seed_sampler_models_and_data(chain, places):
    found = trace(places.samples / "000002.png", places)
    assert found.seed == SAMPLE.seed + 2
    assert (found.drawn["sampler"], found.drawn["steps"]) == ("heun", 3)
    for model in found.models:
        assert model.sha256 == sha256_of(getattr(chain, model.stage) / "model.safetensors")
        assert model.place == str(places.models / model.stage)
        assert model.facts["shards_sha256"] == manifest.digest(chain.shards)


def test_its_sources_are_all_training_pictures_with_licence_and_url(places):
    found = trace(places.samples / "000000.png", places)
    assert [source.url for source in found.sources] == [
        *(URL.format(number) for number in (0, 1, 2)),
        NOT_KNOWN,
        URL.format(4),
    ]
    assert found.licences() == [("CC0-1.0", 2), ("CC-BY-4.0", 1), (NOT_KNOWN, 1), ("x", 1)]
    text = as_text(found, listed=False)
    assert "training images: 5" in text
    assert "1 are not known here" in text
    assert URL.format(2) not in text
    assert URL.format(2) in as_text(found, listed=True)
    record = json.loads(as_json(found))
    assert record["sources"][0]["licence"] == "CC0-1.0"
    assert record["licences"]["CC0-1.0"] == 2


def test_what_sources_state_cannot_control_the_terminal(places):
    found = trace(places.samples / "000000.png", places)
    hostile = replace(found.sources[0], licence="\x1b[2Jfree", author="\x1b[8mhidden", url="a\rb")
    text = as_text(replace(found, sources=[hostile]), listed=True)
    assert "\\x1b[8mhidden" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_moved_and_renamed_picture_is_known_by_its_provenance(places, tmp_path):
    there = tmp_path / "elsewhere" / "holiday.png"
    there.parent.mkdir()
    shutil.move(places.samples / "000003.png", there)
    shutil.rmtree(places.samples)
    assert trace(there, places).seed == SAMPLE.seed + 3


def test_a_picture_that_lost_its_provenance_is_known_by_its_pixels(places, tmp_path):
    with Image.open(places.samples / "000001.png") as picture:
        picture.save(tmp_path / "saved-again.bmp")
    assert trace(tmp_path / "saved-again.bmp", places).seed == SAMPLE.seed + 1


def test_equal_settings_give_equal_pictures_with_their_marks(chain, places, tmp_path):
    before = (places.samples / "000000.png").read_bytes()
    sample_from(chain, SAMPLE, tmp_path / "again")
    assert (tmp_path / "again" / "000000.png").read_bytes() == before


def test_another_picture_is_refused_with_what_to_do(places, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "other.png")
    with pytest.raises(BadInput, match=r"no provenance .*name the folder .* with --samples"):
        trace(tmp_path / "other.png", places)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(BadInput, match="not an image that can be read"):
        trace(tmp_path / "text.png", places)
    with pytest.raises(BadInput, match="does not exist"):
        trace(tmp_path / "none.png", places)


@pytest.mark.parametrize("facts", [{}, {"seed": "x"}, {"seed": 1}])
def test_a_provenance_that_says_too_little_is_refused(places, tmp_path, facts):
    Image.new("RGB", (8, 8)).save(tmp_path / "odd.png", pnginfo=provenance.png_text(facts))
    with pytest.raises(BadInput, match="carries no provenance"):
        trace(tmp_path / "odd.png", places)


def test_models_that_are_no_longer_here_are_found_in_mlflow(chain, places, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for stage in ("autoencoder", "diffusion"):
        with track(stage, SAMPLE) as tracked:
            tracked.log_model(getattr(chain, stage))
    shutil.rmtree(places.models)
    shutil.rmtree(places.runs)
    picture = places.samples / "000000.png"
    # MLflow has the digest of the list of training pictures, the data of that version the list.
    unlisted = trace(picture, places)
    digest = sha256_of(chain.shards / listing.FILE_NAME)[:16]
    text = as_text(unlisted, listed=False)
    assert f"training images of diffusion: 5; their list (sha256 {digest}) is not here" in text
    found = trace(picture, replace(places, shards=chain.shards))
    assert len(found.sources) == 5
    for model in found.models:
        assert model.place.startswith("MLflow run ")
        assert model.params["steps"] == "3"
        assert model.facts["shards_sha256"] == manifest.digest(chain.shards)


def test_without_models_or_mlflow_the_lineage_shows_what_the_picture_says(places):
    shutil.rmtree(places.models)
    found = trace(places.samples / "000000.png", places)
    assert found.sources == []
    assert "training images: not known" in as_text(found, listed=False)


def test_the_command_prints_text_or_json(places, capsys):
    options = [f"--{name}={getattr(places, name)}" for name in ("models", "decisions")]
    assert cli.main(["lineage", str(places.samples / "000000.png"), *options]) == 0
    assert "  CC0-1.0" in capsys.readouterr().out
    assert cli.main(["lineage", str(places.samples / "000000.png"), "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == SAMPLE.seed
