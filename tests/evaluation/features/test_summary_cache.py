import dataclasses
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import grimp
import numpy as np
import pytest
from evaluation_folders import (
    CONFIG,
    HEIGHT,
    NUM_SAMPLES,
    NUM_VAL,
    WIDTH,
    landscape,
)
from shared.folders import file_digests

from pdm.config.stages.evaluate import FeaturesConfig
from pdm.errors import QualityGate
from pdm.evaluation import set_summaries
from pdm.evaluation.features import array_files, summary_cache
from pdm.evaluation.features.feature_spaces import feature_spaces
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.summary import summarise
from pdm.evaluation.features.summary_cache import cached_summary
from pdm.evaluation.memorisation.measure import Mirrored
from pdm.evaluation.stream import StreamedMoments, accumulate, score_batches
from pdm.models.features.variants import is_installed

NETWORK = "efficientnet-lite1"

# what is kept for the stage


def test_a_second_evaluation_looks_at_no_real_picture_again_and_writes_the_same(
    evaluate_with, tmp_path, caplog
):
    evaluate_with()
    first = file_digests(tmp_path / "plots")
    kept = file_digests(tmp_path / "cache")
    assert len(kept) == 2  # val and train
    with caplog.at_level("INFO", "pdm.evaluation"):
        evaluate_with()
    assert file_digests(tmp_path / "plots") == first
    assert file_digests(tmp_path / "cache") == kept
    assert "features of val from the cache" in caplog.text
    assert "features of train from the cache" in caplog.text


@pytest.fixture
def summarised(tmp_path):
    """Summarises four pictures through the cache."""

    def summarised(config=CONFIG, data_sha256="a" * 64):
        extractor = RandomConvFeatures(config.num_features, config.seed)
        spaces = feature_spaces(config, (HEIGHT, WIDTH), extractor, [])
        pictures = in_memory(np.stack([landscape(seed) for seed in range(4)]))
        cached_summary(
            pictures, np.arange(4), extractor, spaces, config, data_sha256, tmp_path / "cache"
        )

    return summarised


@pytest.fixture
def list_summarised(summarised, tmp_path):
    """A function that summarises the pictures and lists the files of the cache."""

    def list_summarised(**others):
        summarised(**others)
        return file_digests(tmp_path / "cache")

    return list_summarised


@pytest.mark.parametrize("change", [{"seed": 1}, {"crop_px": 8}, {"num_features": 8}])
def test_other_settings_are_other_statistics(list_summarised, change):
    assert len(list_summarised()) == 1
    assert len(list_summarised(config=dataclasses.replace(CONFIG, **change))) == 2


def test_settings_of_the_scores_only_reuse_the_cache(list_summarised):
    list_summarised()
    scores_only = dataclasses.replace(CONFIG, num_replicates=30, num_projections=8)
    assert len(list_summarised(config=scores_only)) == 1


def test_other_data_are_other_statistics(list_summarised):
    list_summarised()
    assert [name[0] for name in list_summarised(data_sha256="b" * 64)] == ["a", "b"]


def test_all_code_that_reads_pictures_or_looks_at_them_names_the_version():
    decodes = ("decoding.turbo", "shards.images", "shards.samples", "shards.tars")
    assert {f"pdm.data.{name}" for name in decodes} <= set(summary_cache.CODE)
    graph = grimp.build_graph("pdm", cache_dir=None)
    behind = {"pdm.data.shards.images", "pdm.evaluation.stream"}
    behind |= set().union(*map(graph.find_upstream_modules, behind))
    left_out = {name for name in behind if name.startswith("pdm.config")}
    left_out |= {"pdm.data.code", "pdm.errors", "pdm.files", "pdm.progress"}
    assert behind - set(summary_cache.CODE) == left_out


def test_other_code_is_other_statistics(list_summarised, monkeypatch):
    list_summarised()
    monkeypatch.setattr(summary_cache, "CODE", [*summary_cache.CODE, "pdm.data.provenance"])
    assert len(list_summarised()) == 2


def test_two_that_write_the_same_at_once_both_end_well(summarised, list_summarised, monkeypatch):
    both_written = threading.Barrier(2, timeout=60)
    save = array_files.save_file

    def save_beside_another(arrays, path):
        save(arrays, path)
        both_written.wait()

    monkeypatch.setattr(array_files, "save_file", save_beside_another)
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(summarised), pool.submit(summarised)]:
            done.result()
    monkeypatch.undo()
    assert len(list_summarised()) == 1


def test_a_damaged_file_is_made_again(list_summarised, tmp_path, caplog):
    before = list_summarised()
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    assert list_summarised() == before
    assert "cannot be read" in caplog.text


def test_a_summary_is_mapped_from_files_and_read_in_parts(tmp_path):
    extractor = RandomConvFeatures(CONFIG.num_features, CONFIG.seed)
    spaces = feature_spaces(CONFIG, (HEIGHT, WIDTH), extractor, [])
    pictures = in_memory(np.stack([landscape(seed) for seed in range(5)]))
    summary = summarise(pictures, np.arange(3), extractor, spaces, CONFIG, tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []
    arrays = [summary.features, summary.mirrored_features, summary.thumbnails, summary.spectra]
    for array in [*arrays, *summary.vectors.values()]:
        assert isinstance(array.base, np.memmap)
    mirrored = summary.thumbnails[..., ::-1].reshape(5, -1)
    in_parts = Mirrored(summary.thumbnails)
    assert len(in_parts) == 5
    assert np.array_equal(in_parts[1:4], mirrored[1:4])


# streams


def in_memory(pictures):
    return PictureSet(name="val", keys=range(len(pictures)), load=pictures.__getitem__)


@pytest.fixture(scope="module")
def spaces():
    extractor = RandomConvFeatures(CONFIG.num_features, CONFIG.seed)
    return feature_spaces(CONFIG, (HEIGHT, WIDTH), extractor, [])


@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_in_any_order_write_the_same_bytes(spaces, tmp_path, num_workers):
    pictures = in_memory(np.stack([landscape(seed) for seed in range(13)]))
    numbers = np.arange(13)
    accumulate(pictures, numbers, spaces, 3).save(tmp_path / "alone")
    parts = [
        accumulate(pictures, numbers, spaces, 3, rank, num_workers) for rank in range(num_workers)
    ]
    for name, order in (("forth", parts), ("back", parts[::-1])):
        merged = StreamedMoments(spaces)
        for part in order:
            merged.merge(part)
        merged.save(tmp_path / name)
        assert (tmp_path / name).read_bytes() == (tmp_path / "alone").read_bytes()
    assert merged.num_pictures == 13


def test_pictures_from_a_generator_score_as_the_stage_scores_their_files(
    evaluated, shards, tmp_path
):
    _, expected = evaluated
    batches = (
        np.stack([landscape(index) for index in range(start, start + 3)])
        for start in range(0, NUM_SAMPLES, 3)
    )
    scores = score_batches(batches, shards, CONFIG, tmp_path / "cache")
    names = [name for name in scores if name.startswith("frechet_")]
    assert len(names) == 8  # four spaces, and their floors
    for name in names:
        assert scores[name] == pytest.approx(expected[name], rel=1e-5)  # of six digits
    assert scores["counts/num_samples"] == NUM_SAMPLES
    assert scores["counts/num_val"] == NUM_VAL


WITH_A_PACKAGE = dataclasses.replace(CONFIG, features=[FeaturesConfig(network=NETWORK)])


@pytest.mark.skipif(not is_installed(NETWORK), reason="the package is not installed")
def test_a_stream_is_scored_by_the_networks_of_packages_that_the_default_params_name(
    shards, tmp_path
):
    pictures = np.stack([landscape(index) for index in range(2)])
    scores = score_batches([pictures], shards, WITH_A_PACKAGE, tmp_path)
    assert scores["frechet_efficientnet_lite1/samples_vs_val"] > 0
    assert scores["frechet_efficientnet_lite1_crops/train_vs_val"] >= 0


def test_a_stream_is_scored_without_a_network_whose_package_is_not_installed(
    shards, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(set_summaries, "is_installed", lambda name: False)
    pictures = np.stack([landscape(index) for index in range(2)])
    scores = score_batches([pictures], shards, WITH_A_PACKAGE, tmp_path)
    assert "frechet_random_conv/samples_vs_val" in scores
    assert not any("efficientnet" in name for name in scores)
    assert f"no distances by {NETWORK}" in caplog.text


def test_cached_features_give_the_same_scores(shards, tmp_path):
    pictures = np.stack([landscape(index) for index in range(4)])
    first = score_batches([pictures], shards, CONFIG, tmp_path)
    assert len(file_digests(tmp_path)) == 2
    assert score_batches([pictures], shards, CONFIG, tmp_path) == first


def test_one_streamed_picture_is_too_few(shards, tmp_path):
    with pytest.raises(QualityGate, match="1 image is too few"):
        score_batches([landscape(0)[None]], shards, CONFIG, tmp_path)


def test_memory_does_not_grow_with_the_number_of_pictures(spaces):
    peaks = []
    for count in (10, 60):
        stream = StreamedMoments(spaces)
        stream.add(landscape(0)[None], np.zeros(1, np.int64))
        tracemalloc.start()
        for number in range(count):
            stream.add(landscape(number % 5)[None], np.array([number]))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]  # if it kept them, it would be twice as much
