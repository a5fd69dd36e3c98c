import csv
import dataclasses
import json
import logging
import math
import re

import numpy as np
import pytest
import torch
from evaluation_folders import (
    CONFIG,
    NUM_SAMPLES,
    NUM_TRAIN,
    NUM_VAL,
    landscape,
    png,
    training_picture,
    write_samples,
    write_shards,
)
from PIL import Image

from pdm.errors import BadInput, QualityGate
from pdm.evaluation.features.summary import thumbnails_of
from pdm.evaluation.memorisation.measure import MEASURES


@pytest.fixture
def done(evaluated):
    return evaluated


def leaves(tree, name=""):
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{name}{key}/")
        else:
            yield f"{name}{key}", value


# what it writes


def test_every_distance_is_listed_with_its_floor(done):
    _, scores = done
    ours = {
        name.removesuffix("/samples_vs_val") for name in scores if name.endswith("/samples_vs_val")
    }
    floor = {
        name.removesuffix("/train_vs_val") for name in scores if name.endswith("/train_vs_val")
    }
    assert ours == floor
    assert {"frechet_random_conv", "kernel_random_conv", "swd/level_16x32", "spectrum_db"} <= ours


def test_metrics_hold_the_returned_scores_and_how_they_were_made(done):
    folder, scores = done
    metrics = json.loads((folder / "metrics.json").read_text())
    conventions = metrics.pop("conventions")
    assert dict(leaves(metrics)) == scores
    assert conventions["frechet_random_conv"] == ("random_conv, whole pictures: 16 values, seed 0")
    assert conventions["picture_size"] == "64x32"
    assert not any("fid" in name.lower() for name in scores)


def test_counts_are_those_of_the_sets(done):
    _, scores = done
    names = ("num_samples", "num_val", "num_train", "num_compared")
    assert [scores[f"counts/{name}"] for name in names] == [
        NUM_SAMPLES,
        NUM_VAL,
        NUM_TRAIN,
        NUM_SAMPLES,
    ]


def test_every_prefix_of_the_levels_has_its_reconstruction(done):
    _, scores = done
    for measure in ("psnr_db", "ssim", "ms_ssim", "rfrechet_random_conv"):
        names = [f"reconstruction/{measure}/levels_{count}" for count in (1, 2, 3)]
        assert all(math.isfinite(scores[name]) for name in names)


def test_a_second_run_writes_the_same_bytes(done, run, tmp_path):
    folder, _ = done
    run()
    for path in sorted((tmp_path / "plots").iterdir()):
        assert path.read_bytes() == (folder / "plots" / path.name).read_bytes(), path.name
    assert (tmp_path / "metrics.json").read_bytes() == (folder / "metrics.json").read_bytes()


def test_scores_do_not_depend_on_the_batch_size(done, run):
    _, scores = done
    assert run(dataclasses.replace(CONFIG, batch_size=1)) == scores


def test_plots_are_pictures_and_tables_that_open(done):
    folder, _ = done
    pictures = sorted((folder / "plots").glob("*.png"))
    assert [path.stem for path in pictures] == [
        "nearest-neighbours",
        "reconstruction",
        "reconstructions",
        "samples-and-held-out",
        "sliced-wasserstein",
        "spectrum",
    ]
    for path in pictures:
        with Image.open(path) as image:
            assert min(image.size) > 100
    for path in (folder / "plots").glob("*.csv"):
        with path.open(newline="") as file:
            assert len(list(csv.DictReader(file))) >= 2


def test_held_out_pictures_as_samples_have_no_distance(run, tmp_path):
    copies = write_samples(tmp_path / "val", [landscape(2000 + index) for index in range(NUM_VAL)])
    scores = run(samples=copies)
    assert scores["frechet_random_conv/samples_vs_val"] == pytest.approx(0, abs=1e-5)
    assert scores["swd/mean/samples_vs_val"] == 0
    assert scores["swd/mean/train_vs_val"] > 0


def test_one_table_has_every_score_with_its_interval_floor_and_counts(done):
    folder, scores = done
    with (folder / "plots" / "scores.csv").open(newline="") as file:
        rows = {row["score"]: row for row in csv.DictReader(file)}
    compared = {
        name.removesuffix("/samples_vs_val") for name in scores if name.endswith("/samples_vs_val")
    }
    assert {name for name in compared if not name.startswith("intervals/")} <= rows.keys()
    row = rows["frechet_random_conv_crops"]
    assert float(row["value"]) == scores["frechet_random_conv_crops/samples_vs_val"]
    assert float(row["floor"]) == scores["frechet_random_conv_crops/train_vs_val"]
    assert float(row["low"]) < float(row["value"]) < float(row["high"])
    assert (row["num_judged"], row["num_reference"]) == (str(NUM_SAMPLES), str(NUM_VAL))


def test_every_headline_score_has_a_value_an_interval_and_a_floor(done):
    folder, scores = done
    with (folder / "plots" / "scores.csv").open(newline="") as file:
        rows = {row["score"]: row for row in csv.DictReader(file)}
    distances = ("frechet_random_conv", "swd/mean", "precision_random_conv", "recall_random_conv")
    copies = tuple(f"memorisation/{measure}/share_of_copies" for measure in MEASURES)
    for name in (*distances, *copies, "reconstruction/psnr_db/levels_3"):
        value = f"{name}/samples_vs_val" if name in distances else name
        assert float(rows[name]["value"]) == scores[value]
        assert float(rows[name]["low"]) == scores[f"intervals/{value}/low"] <= scores[value]
        assert float(rows[name]["high"]) == scores[f"intervals/{value}/high"] >= scores[value]
    for name in distances:
        assert float(rows[name]["floor"]) == scores[f"{name}/train_vs_val"]
    for name in copies:
        stem, _, share = name.rpartition("/")
        assert float(rows[name]["floor"]) == scores[f"{stem}/expected_{share}"] == 0


# memorisation


def test_the_page_of_closest_pairs_needs_nothing_beside_it(done):
    folder, _ = done
    page = (folder / "plots" / "memorisation.html").read_text()
    assert page.count("data:image/png;base64,") == 3 * CONFIG.num_neighbours
    assert "http" not in page
    assert page.count("alt='sample ") == CONFIG.num_neighbours
    assert page.count("alt='training image nearest to it by ") == 2 * CONFIG.num_neighbours
    assert "look memorised" not in page


def test_the_page_shows_each_share_with_its_interval_in_percent(done):
    folder, scores = done
    page = (folder / "plots" / "memorisation.html").read_text()
    for measure in ("features", "pixels"):
        name = f"memorisation/by_{measure}/share_closer_than_median_val"
        low, high = (100 * scores[f"intervals/{name}/{end}"] for end in ("low", "high"))
        row = page.partition(f"median held-out image, by {measure}<td>")[2].partition("</tr>")[0]
        shown = f"{100 * scores[name]:.1f} %<td>{low:.1f} to {high:.1f} %<td>50.0 %"
        assert row == shown.replace(" %", "\u00a0%")


def test_a_page_and_a_warning_say_that_samples_are_copies(run, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    copies = [training_picture(index) for index in range(6)]
    run(samples=write_samples(tmp_path / "copies", copies))
    page = (tmp_path / "plots" / "memorisation.html").read_text()
    assert "These samples look memorised</b> (by features and by pixels)" in page
    assert page.count("class='pair bad'") == CONFIG.num_neighbours
    assert "the samples look memorised (by features and by pixels): 100 % are copies" in caplog.text
    assert "(floor " in caplog.messages[-1]  # scores last: a run's table shows the last line


def test_blurred_samples_are_not_called_memorised(run, tmp_path, caplog):
    means = [np.full((32, 64, 3), training_picture(index).mean((0, 1))) for index in range(6)]
    blurred = [mean.round().astype(np.uint8) for mean in means]
    scores = run(samples=write_samples(tmp_path / "blurred", blurred))
    assert scores["memorisation/by_pixels/share_closer_than_median_val"] == 1
    page = (tmp_path / "plots" / "memorisation.html").read_text()
    assert "look memorised" not in page + caplog.text
    assert "None is a copy" in page
    assert "none is a copy" in caplog.text


def test_only_distances_below_those_of_held_out_pictures_are_red(run, tmp_path):
    run(samples=write_samples(tmp_path / "copies", [training_picture(3), landscape(0)]))
    page = (tmp_path / "plots" / "memorisation.html").read_text()
    red = [float(each) for each in re.findall(r"<b class='bad'>([\d.]+)</b>", page)]
    black = [float(each) for each in re.findall(r": <b>([\d.]+)</b>", page)]
    assert red == [0.0, 0.0]
    assert len(black) == 2


def test_one_copy_among_new_pictures_is_named(run, tmp_path, caplog):
    mixed = [training_picture(4), *(landscape(index) for index in range(5))]
    scores = run(samples=write_samples(tmp_path / "mixed", mixed))
    assert scores["memorisation/by_pixels/share_of_copies"] == pytest.approx(1 / 6, rel=1e-5)
    assert "17 % are copies" in caplog.text
    with (tmp_path / "plots" / "scores.csv").open(newline="") as file:
        rows = {row["score"]: row for row in csv.DictReader(file)}
    assert float(rows["memorisation/by_pixels/share_of_copies"]["floor"]) == 0


def test_names_cannot_write_into_the_page(run, tmp_path):
    shards = write_shards(
        tmp_path / "named",
        {
            "train": {f"<i>{index}": training_picture(index) for index in range(3)},
            "val": {f"{index + 500:020x}": landscape(2000 + index) for index in range(2)},
        },
    )
    run(shards=shards)
    page = (tmp_path / "plots" / "memorisation.html").read_text()
    assert "&lt;i&gt;" in page
    assert "<i>" not in page


def test_planted_copies_of_training_pictures_are_found(run, tmp_path):
    copies = [training_picture(index) for index in (3, 7)]
    mirrored = [training_picture(5)[:, ::-1]]
    new = [landscape(index) for index in range(3)]
    scores = run(samples=write_samples(tmp_path / "planted", copies + mirrored + new))
    for measure in ("by_features", "by_pixels"):
        assert scores[f"memorisation/{measure}/share_closer_than_all_val"] >= 0.5


def test_a_set_of_copies_looks_bad(run, tmp_path):
    copies = write_samples(tmp_path / "copies", [training_picture(index) for index in range(6)])
    scores = run(samples=copies)
    for measure in ("by_features", "by_pixels"):
        assert scores[f"memorisation/{measure}/share_closer_than_all_val"] == 1
        assert scores[f"memorisation/{measure}/share_closer_than_median_val"] == 1
        assert scores[f"memorisation/{measure}/samples_median_distance"] == 0


def test_thumbnails_keep_the_shape_and_are_never_enlarged():
    assert thumbnails_of(torch.zeros(2, 3, 128, 256)).shape == (2, 3, 32, 64)
    assert thumbnails_of(torch.zeros(1, 3, 16, 24)).shape == (1, 3, 16, 24)


# what it refuses


def test_samples_of_a_size_that_the_autoencoder_cannot_take_are_refused(run, tmp_path):
    odd = write_samples(tmp_path / "odd", [landscape(index, 30, 60) for index in range(4)])
    with pytest.raises(BadInput, match="60x30, which this autoencoder cannot reconstruct"):
        run(samples=odd)


def test_one_sample_is_too_few(run, tmp_path):
    with pytest.raises(QualityGate, match="1 samples image is too few"):
        run(samples=write_samples(tmp_path / "one", [landscape(0)]))


def test_a_picture_that_is_held_out_and_trained_on_is_refused(run, tmp_path):
    same = {"0" * 20: landscape(0), "1" * 20: landscape(1)}
    mixed = write_shards(tmp_path / "mixed", {"train": same, "val": same})
    with pytest.raises(
        QualityGate, match=r"has images that are both held out and trained on \(2, "
    ):
        run(shards=mixed)


def test_a_refused_run_does_not_touch_the_old_results(run, samples, tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "old.png").touch()
    (samples / "000099.png").write_bytes(png(landscape(99)))
    with pytest.raises(BadInput):
        run()
    assert (tmp_path / "plots" / "old.png").exists()
    assert not (tmp_path / "metrics.json").exists()


def test_fewer_training_pictures_than_samples_set_the_count_for_both(run, tmp_path):
    few = write_shards(
        tmp_path / "few",
        {
            "train": {f"{index:020x}": training_picture(index) for index in range(3)},
            "val": {f"{index + 500:020x}": landscape(2000 + index) for index in range(2)},
        },
    )
    scores = run(shards=few)
    assert scores["counts/num_compared"] == 3
    assert np.isfinite(list(scores.values())).all()
