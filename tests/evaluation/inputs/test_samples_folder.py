"""What `evaluate` accepts as samples: the pictures that were drawn, all of them and no others."""

import json

import numpy as np
import pytest
from evaluation_folders import NUM_SAMPLES, landscape, png, write_samples
from PIL import Image

from pdm.errors import BadInput
from pdm.evaluation.inputs.samples_folder import read_samples


def edit(folder, change):
    """Rewrite `samples.json` after `change` has been at its record."""
    path = folder / "samples.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def pixels(folder):
    samples = read_samples(folder)
    return [samples.load(index) for index in range(len(samples))]


# files that do not fit the list


def test_a_leftover_picture_is_refused(run, samples):
    (samples / "000099.png").write_bytes(png(landscape(99)))
    with pytest.raises(BadInput, match=r"000099\.png is not listed"):
        run()


def test_what_the_sample_stage_writes_beside_is_not_a_leftover(samples):
    (samples / "contact-sheet.png").write_bytes(png(landscape(99)))
    (samples / "full-size").mkdir()
    assert len(read_samples(samples)) == NUM_SAMPLES


def test_a_missing_sample_is_refused(run, samples):
    (samples / "000002.png").unlink()
    with pytest.raises(
        BadInput, match=r"000002\.png is listed in samples\.json but does not exist"
    ):
        run()


def test_a_truncated_sample_is_refused(run, samples):
    path = samples / "000002.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(BadInput, match=r"000002\.png is not an image that can be read"):
        run()


def test_samples_of_two_sizes_are_refused(run, samples):
    (samples / "000002.png").write_bytes(png(landscape(0, 16, 32)))
    with pytest.raises(BadInput, match=r"is 32x16, 000000\.png is 64x32"):
        run()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"samples": []}', '{"samples": [{"seed": 1}]}', "{"]
)
def test_a_damaged_list_is_refused(run, samples, text):
    (samples / "samples.json").write_text(text)
    with pytest.raises(BadInput, match=r"samples\.json .* sample again"):
        run()


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd"])
def test_a_list_cannot_name_files_elsewhere(run, samples, name):
    row = {"file": name, "seed": 0, "pixels_sha256": "0" * 64}
    (samples / "samples.json").write_text(json.dumps({"samples": [row]}))
    with pytest.raises(BadInput, match="in another folder"):
        run()


def test_no_samples_folder_names_the_stage_to_run(run, tmp_path):
    with pytest.raises(BadInput, match="run the stage 'sample' first"):
        run(samples=tmp_path / "nowhere")


# files and lists that were changed after the samples were drawn


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image.convert("L"),
        lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda image: image.point(lambda value: value ^ 1),
    ],
    ids=["greyed", "mirrored", "one bit"],
)
def test_a_changed_sample_is_refused_and_nothing_is_written(run, samples, tmp_path, change):
    path = samples / "000003.png"
    with Image.open(path) as image:
        change(image).save(path)
    with pytest.raises(
        BadInput, match=r"pixels of .*000003\.png differ from those listed in samples\.json"
    ):
        run()
    assert not (tmp_path / "metrics.json").exists()


def test_one_changed_pixel_is_enough(samples):
    picture = landscape(5)
    picture[0, 0, 0] ^= 1
    (samples / "000005.png").write_bytes(png(picture))
    with pytest.raises(BadInput, match=r"pixels of .*000005\.png differ"):
        pixels(samples)


def test_samples_that_changed_places_are_refused(samples):
    first, second = samples / "000001.png", samples / "000002.png"
    contents = first.read_bytes(), second.read_bytes()
    second.write_bytes(contents[0])
    first.write_bytes(contents[1])
    with pytest.raises(BadInput, match=r"pixels of .*000001\.png differ"):
        pixels(samples)


def test_a_file_written_again_with_the_same_pixels_is_the_same_sample(samples):
    path = samples / "000003.png"
    with Image.open(path) as image:
        image.convert("RGBA").save(path, compress_level=1)
    np.testing.assert_array_equal(pixels(samples)[3], landscape(3))


def test_an_edited_digest_is_refused(samples):
    edit(samples, lambda record: record["samples"][4].update(pixels_sha256="0" * 64))
    with pytest.raises(BadInput, match=r"pixels of .*000004\.png differ"):
        pixels(samples)


def test_a_list_without_digests_is_refused(samples):
    edit(samples, lambda record: record["samples"][4].pop("pixels_sha256"))
    with pytest.raises(BadInput, match=r"samples\.json cannot be read .*pixels_sha256"):
        read_samples(samples)


def test_two_samples_of_one_seed_are_refused(samples):
    edit(samples, lambda record: record["samples"][4].update(seed=1))
    with pytest.raises(BadInput, match=r"two samples of the same seed"):
        read_samples(samples)


def test_the_order_of_the_list_changes_nothing(samples):
    expected = pixels(samples)
    edit(samples, lambda record: record["samples"].reverse())
    np.testing.assert_array_equal(pixels(samples), expected)


def test_equal_samples_of_different_seeds_are_counted_with_a_warning(run, tmp_path, caplog):
    copies = [landscape(0), landscape(1), landscape(1), landscape(2), landscape(1)]
    scores = run(samples=write_samples(tmp_path / "copies", copies))
    assert scores["counts/num_repeated_samples"] == 2
    counts = json.loads((tmp_path / "metrics.json").read_text())["counts"]
    assert counts["num_repeated_samples"] == 2
    assert "2 of 5 samples equal one of another seed" in caplog.text
    assert "000001.png and 000002.png first" in caplog.text


def test_samples_that_were_picked_by_hand_are_counted_with_a_warning(run, samples, caplog):
    for name in ("000001.png", "000003.png"):
        (samples / name).unlink()
    edit(
        samples,
        lambda record: record.update(
            samples=[row for row in record["samples"] if row["seed"] not in (1, 3)]
        ),
    )
    scores = run()
    assert scores["counts/num_missing_seeds"] == 2
    assert "2 of the seeds from 0 to 5 have no sample" in caplog.text


def test_unchanged_samples_give_no_warning(run, caplog):
    scores = run()
    assert scores["counts/num_repeated_samples"] == scores["counts/num_missing_seeds"] == 0
    assert "seed" not in caplog.text
