"""The stage `sample` at the size that `sample.size` names, and what evaluation makes of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tiny_chain import SAMPLE, sample_from

from pdm.data import provenance
from pdm.errors import BadInput
from pdm.evaluation.inputs.sample_size import check_sample_size

CONFIG = replace(SAMPLE, size=(144, 128), num_images=2, full_size_picture=False, sampler="euler")


@pytest.fixture(scope="module")
def samples(chain, tmp_path_factory):
    return sample_from(chain, CONFIG, tmp_path_factory.mktemp("samples") / "samples")


def test_samples_have_the_size_and_are_listed_with_their_digests(samples):
    record = json.loads((samples / "samples.json").read_text())
    assert record["size"] == [144, 128]
    assert [row["seed"] for row in record["samples"]] == [7, 8]
    for row in record["samples"]:
        mark, digest = provenance.read(samples / row["file"])
        assert digest == row["pixels_sha256"]
        assert (mark["seed"], mark["size"]) == (row["seed"], [144, 128])
        with Image.open(samples / row["file"]) as file:
            assert file.size == (144, 128)
    with Image.open(samples / "contact-sheet.png") as sheet:
        assert sheet.width >= 2 * 144
    names = {path.name for path in samples.iterdir()}
    assert names == {"000000.png", "000001.png", "samples.json", "contact-sheet.png"}


def test_a_sample_does_not_depend_on_the_others(samples, chain, tmp_path):
    alone = sample_from(chain, replace(CONFIG, seed=8, num_images=1), tmp_path / "alone")
    one, other = (
        np.asarray(Image.open(path)) for path in (alone / "000000.png", samples / "000001.png")
    )
    np.testing.assert_array_equal(one, other)


def test_without_a_size_samples_json_is_as_before(chain, tmp_path):
    folder = sample_from(chain, replace(CONFIG, size=None, num_images=1), tmp_path / "plain")
    assert not {"size", "tiling", "colour"} & set(json.loads((folder / "samples.json").read_text()))


def test_sizes_that_held_out_pictures_do_not_have_are_not_scored(samples, chain, tmp_path):
    with pytest.raises(BadInput, match=r"144x128 \(sample.size\), the held-out images 128x64"):
        check_sample_size(samples, chain.shards)
    for size, good in (
        ((128, 64), True),
        ((96, 48), True),
        ((256, 128), False),
        ((100, 64), False),
    ):
        (tmp_path / "samples.json").write_text(json.dumps({"size": size, "samples": []}))
        if good:
            check_sample_size(tmp_path, chain.shards)
        else:
            with pytest.raises(BadInput, match="only a size of their shape"):
                check_sample_size(tmp_path, chain.shards)
