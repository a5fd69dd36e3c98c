"""Models that nobody trained, the samples that they drew, and a tracked evaluation of both."""

import json
from pathlib import Path

from PIL import Image
from tracked_runs import CONFIG

from pdm.data.shards.manifest import Manifest
from pdm.files import sha256_of
from pdm.scores.names import RANDOM_SCORE
from pdm.tracking.track import track

MODELS = {stage: Path("models") / stage for stage in ("autoencoder", "diffusion")}


def draw(content):
    """Models, and the samples that they drew."""
    for folder in MODELS.values():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.safetensors").write_bytes(content)
    Path("samples").mkdir(exist_ok=True)
    Image.new("RGB", (8, 4)).save("samples/000000.png")
    digests = {f"{s}_sha256": sha256_of(f / "model.safetensors") for s, f in MODELS.items()}
    listed = {"samples": [{"file": "000000.png", "seed": 7}]} | digests
    Path("samples/samples.json").write_text(json.dumps(listed))


def draw_with(**settings):
    """The same, from models with averages, which `settings` may ask for."""
    draw(b"weights")
    for folder in MODELS.values():
        (folder / "ema").mkdir(exist_ok=True)
        (folder / "ema" / "000000016-0.1.safetensors").write_bytes(b"many")
        (folder / "more").mkdir(exist_ok=True)
        (folder / "more" / "card.md").write_text("text")
    path = Path("samples/samples.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def evaluate(score, monkeypatch):
    """Track an evaluation with this score in a pipeline run of its own."""
    monkeypatch.setenv("PYRAMID_PIPELINE_RUN", f"with {score}")
    track_evaluation(score)


def track_evaluation(score):
    """Track an evaluation with this score, which registers the models."""
    Path("data").mkdir(exist_ok=True)
    Manifest({"train": []}, {}).save(Path("data"))
    Path("plots").mkdir(exist_ok=True)
    found = {"data_sha256": "v", "seed": 0, "num_replicates": 3}
    found["scores"] = {RANDOM_SCORE: [score - 0.1, score, score + 0.1]}
    Path("plots/replicates.json").write_text(json.dumps(found))
    with track("evaluate", CONFIG, data=Path("data")) as tracked:
        tracked.log_scores({RANDOM_SCORE: score})
        tracked.log_pictures(Path("plots"))
        tracked.log_samples(Path("samples"))
        tracked.register_candidate(**MODELS)
