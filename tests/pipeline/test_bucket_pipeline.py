"""All eight stages on pictures of three shapes."""

import json

import pytest

SIZES = [(256, 128), (192, 192), (128, 256)]


def source(width_px, height_px, seed):
    return {
        "kind": "builtin",
        "num_landscapes": 16,
        "num_flawed_per_kind": 0,
        "width_px": width_px,
        "height_px": height_px,
        "seed": seed,
    }


@pytest.mark.slow
def test_a_pipeline_on_three_shapes_trains_samples_and_scores_each(new_project):
    sources = [source(320, 180, 0), source(230, 220, 1), source(180, 320, 2)]
    project = new_project("buckets")
    project.set(
        {
            "scrape": {"sources": sources},
            "curate": {"buckets": [list(size) for size in SIZES]},
            "sample": {"num_images": 12},
        }
    )
    project.run("pyramid", "run")

    def read(name):
        return json.loads((project.folder / name).read_text())

    shards = read("data/shards/manifest.json")["facts"]["buckets"]
    assert [(one["width_px"], one["height_px"]) for one in shards] == SIZES
    assert all(sum(one["num_samples"].values()) > 4 for one in shards)
    drawn = [(one["width_px"], one["height_px"]) for one in read("samples/samples.json")["samples"]]
    assert sorted(set(drawn)) == sorted((width // 4, height // 4) for width, height in SIZES)
    scores = read("metrics.json")["by_size"]
    scored = {name for name in scores if name != "mean"}
    assert scored == {f"{width // 4}x{height // 4}" for width, height in SIZES}
    assert scores["mean"]["frechet_random_conv"]["samples_vs_val"] > 0
