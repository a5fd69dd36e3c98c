"""`pyramid compare` on runs that MLflow holds."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tracked_runs import CONFIG, client, runs

from pdm.comparison.compare import compare
from pdm.data.shards.manifest import Manifest
from pdm.errors import BadInput
from pdm.events import EventLog
from pdm.files import sha256_of
from pdm.tracking.track import track

SCORE = "frechet_random_conv/samples_vs_val"
PAGE = Path("reports/comparison.html")


def model(name, content):
    folder = Path("models") / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(content)
    (folder / "config.json").write_text(
        json.dumps({"parameters": 5, "images_seen": 20, "forward_flops": 1e9})
    )
    return folder


def train(stage, content):
    events = Path(f"runs/{stage}/{content.decode()}/events.jsonl")
    with track(stage, CONFIG, events=events) as tracked:
        EventLog(events).metrics({"loss": 0.5}, 10)
        EventLog(events, 10).metrics({"loss": 0.25}, 20)
        tracked.log_model(model(stage, content))


def evaluate(score):
    plots, samples, data = Path("plots"), Path("samples"), Path("data")
    for folder in (plots, samples, data):
        folder.mkdir(exist_ok=True)
    Manifest({"train": []}, {}).save(data)
    Image.new("RGB", (8, 4), (round(10 * score), 0, 0)).save(samples / "000000.png")
    digests = {
        f"{stage}_sha256": sha256_of(Path("models") / stage / "model.safetensors")
        for stage in ("autoencoder", "diffusion")
    }
    listed = {"samples": [{"file": "000000.png", "seed": 7}]}
    (samples / "samples.json").write_text(json.dumps(listed | digests))
    found = {
        "data_sha256": sha256_of(data / "manifest.json"),
        "seed": 0,
        "num_replicates": 3,
        "scores": {SCORE: [score - 0.1, score, score + 0.1]},
    }
    (plots / "replicates.json").write_text(json.dumps(found))
    with track("evaluate", CONFIG, data=data) as tracked:
        tracked.log_scores({SCORE: score})
        tracked.log_pictures(plots)
        tracked.log_samples(samples)


@pytest.fixture
def parents(monkeypatch):
    """Ids of two pipeline runs; the second took the first one's autoencoder from the cache."""
    monkeypatch.setenv("PYRAMID_PIPELINE_RUN", "first")
    Path("params.yaml").write_text("curate: {min: 1}\n")
    train("autoencoder", b"same")
    train("diffusion", b"one")
    evaluate(3.0)
    monkeypatch.setenv("PYRAMID_PIPELINE_RUN", "second")
    Path("params.yaml").write_text("curate: {min: 2}\n")
    train("diffusion", b"two")
    evaluate(4.0)
    return [pipeline_run(name) for name in ("first", "second")]


def pipeline_run(name):
    experiment = client().get_experiment_by_name("pyramid-diffusion").experiment_id
    [found] = client().search_runs([experiment], f"tags.`pyramid.pipeline_run` = '{name}'")
    return found.info.run_id


def test_two_pipeline_runs_are_compared_with_what_either_took_from_a_cache(parents):
    text = compare(parents, output=PAGE)
    page = PAGE.read_text()
    assert "curate.min" in text
    assert f"{SCORE} " in page
    assert '<span class="win">winner</span> <b>3</b>' in page
    assert page.count("<polyline") == 4  # two losses of each run, the autoencoder's among them
    assert page.count("<img") == 2
    assert "autoencoder: wall time" in text
    narrow = compare(parents, output=PAGE, width=60)
    assert max(len(line) for line in narrow.splitlines()) <= 60


@pytest.mark.parametrize("how", ["prefix", "key", "child", "experiment", "newest"])
def test_a_run_is_found_by_each_of_its_names(parents, how):
    child = runs()["evaluate"].info.run_id  # of the second
    names = {"prefix": [parents[1][:12]], "key": ["second"], "child": [child]}
    options = {"experiment": {"experiment": "pyramid-diffusion"}}
    compare(names.get(how, []), **options.get(how, {}), output=PAGE)
    assert parents[1] in PAGE.read_text()
    assert (parents[0] in PAGE.read_text()) == (how in ("experiment", "newest"))
    assert SCORE in PAGE.read_text()


def test_the_best_are_taken(parents):
    compare([], num_best=1, output=PAGE)
    assert parents[0] in PAGE.read_text()
    assert parents[1] not in PAGE.read_text()


def test_runs_that_a_page_has_no_room_for_are_counted(parents, monkeypatch):
    monkeypatch.setattr("pdm.comparison.compare.MAX_RUNS", 1)
    text = compare([], output=PAGE)
    assert "runs left out: 1 of 2; a page shows the newest 1" in text
    assert parents[0] not in PAGE.read_text()
    text = compare([], num_best=2, output=PAGE)
    assert "runs left out: 1 of 2; a page shows the best 1" in text
    assert parents[1] not in PAGE.read_text()
    assert "left out" not in compare([], num_best=1, output=PAGE)


def test_runs_without_the_score_that_ranks_them_are_counted(parents, monkeypatch):
    monkeypatch.setenv("PYRAMID_PIPELINE_RUN", "third")
    with track("evaluate", CONFIG, data=Path("data")) as tracked:
        tracked.log_scores({"other": 1.0})
    text = compare([], num_best=2, output=PAGE)
    assert f"runs left out without the score {SCORE}: 1" in text


def test_unknown_and_unclear_names_are_told(parents):
    with pytest.raises(BadInput, match=r"no run 'nowhere' in MLflow at sqlite.*no folder"):
        compare(["nowhere"], output=PAGE)
    with pytest.raises(BadInput, match="no experiment 'other' in MLflow; it has: "):
        compare([], experiment="other", output=PAGE)
    with pytest.raises(BadInput, match="no run of the experiment 'Default' has scores"):
        compare([], experiment="Default", output=PAGE)


def test_a_name_that_fits_several_runs_names_them(monkeypatch):
    for name in ("night-1", "night-2"):
        monkeypatch.setenv("PYRAMID_PIPELINE_RUN", name)
        train("diffusion", b"one")
    with pytest.raises(BadInput, match=r"'night' matches 2 runs: .*; give more characters"):
        compare(["night"], output=PAGE)
