"""Folders such as a pipeline run leaves, with scores and replicates that are known."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from pdm.comparison.run import Run
from pdm.tracking.registry.replicates import Replicates

SCORE = "frechet_random_conv/samples_vs_val"
FLOOR = "frechet_random_conv/train_vs_val"
VERSION = "d" * 64
NUM_REPLICATES = 400
TRACKED = {
    "stage": "diffusion",
    "parent": "one",
    "params": {},
    "tags": {"mlflow.source.git.commit": "c" * 40},
    "data": {},
    "began": 1.0,
    "process": 1,
    "ended": 2.0,
    "status": "FINISHED",
    "costs": {"wall_seconds": 3725.0, "cpu_hours": 2.0, "training_flops": 3e15},
    "sent": {},
}


def replicates(
    score: float, spread: float = 0.1, version: str = VERSION, seed: int = 0
) -> Replicates:
    """Of a run whose score moves with the reference as all others' do, and a little by itself."""
    shared = np.random.default_rng(1).normal(0, 1.0, NUM_REPLICATES)
    own = np.random.default_rng([2, round(1000 * score)]).normal(0, spread, NUM_REPLICATES)
    values = (score + shared - shared.mean() + own - own.mean()).tolist()
    return Replicates(version, (seed, NUM_REPLICATES), {SCORE: values})


def run(name: str, score: float, **changes) -> Run:
    found = changes.pop("replicates", replicates(score))
    known = {
        "name": name,
        "origin": name,
        "params": {"diffusion.rate": "0.1"},
        "facts": {},
        "scores": {SCORE: score, FLOOR: 0.2},
        "replicates": found,
        "curves": {},
        "pictures": {},
        "costs": {},
    }
    return Run(**known | changes)


def write_run(
    folder: Path, score: float, *, rate: float = 0.1, version: str = VERSION, seeds=(0, 1)
) -> Path:
    """A project's folder after `evaluate`."""
    plots, run_folder = folder / "plots", folder / "runs" / "diffusion" / "abc"
    for path in (plots / "evaluation", folder / "samples", run_folder):
        path.mkdir(parents=True)
    (folder / "params.yaml").write_text(f"diffusion: {{rate: {rate}}}\nevaluate: {{seed: 0}}\n")
    found = replicates(score, version=version)
    write_scores(folder / "metrics.json", score, found)
    write_replicates(plots / "evaluation" / "replicates.json", found)
    rows = [f"{step},{score + 1 / step}" for step in range(10, 1000, 10)]
    (plots / "diffusion.csv").write_text("\n".join(["images_seen,loss", *rows]) + "\n")
    write_samples(folder / "samples", seeds, round(score))
    (run_folder / "tracking.json").write_text(json.dumps(TRACKED))
    return folder


def write_scores(path: Path, score: float, found: Replicates) -> None:
    low, high = np.percentile(found.scores[SCORE], (2.5, 97.5))
    scores = {
        "frechet_random_conv": {"samples_vs_val": score, "train_vs_val": 0.2},
        "intervals": {"frechet_random_conv": {"samples_vs_val": {"low": low, "high": high}}},
        "reconstruction": {"psnr_db": {"levels_1": 20.0}},
        "counts": {"num_val": 9},
        "conventions": {"features": "<b>none</b>"},
    }
    path.write_text(json.dumps(scores))


def write_replicates(path: Path, found: Replicates) -> None:
    seed, count = found.setting
    facts = {"data_sha256": found.data_sha256, "seed": seed, "num_replicates": count}
    scores = {name: list(values) for name, values in found.scores.items()}
    path.write_text(json.dumps(facts | {"scores": scores}))


def write_samples(folder: Path, seeds, look: int) -> None:
    """Write a picture for each seed; other looks give other pictures."""
    listed = []
    for seed in seeds:
        pixels = np.random.default_rng([seed, look]).integers(0, 255, (16, 32, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{seed:06}.png")
        listed.append({"file": f"{seed:06}.png", "seed": seed})
    (folder / "samples.json").write_text(json.dumps({"samples": listed}))
