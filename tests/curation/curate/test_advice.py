import logging

import pytest
from curation_pictures import CURATE, but, jpeg, scene, write_raw

from pdm.curation.curate import curate
from pdm.curation.curate.advice import advise_on_size
from pdm.errors import QualityGate

BIG = but(CURATE, width_px=2048, height_px=1024)


def row(width_px, height_px, reason=None, content=None):
    inside = content or (None, None)
    return {
        "width_px": width_px,
        "height_px": height_px,
        "content_width_px": inside[0],
        "content_height_px": inside[1],
        "reason": reason,
    }


def test_the_largest_size_that_suits_half_of_the_small_images_is_proposed():
    small = [row(1600, 1200, "too_small")] * 3 + [row(640, 480, "too_small")] * 3
    assert advise_on_size([*small, row(4000, 3000)], BIG) == (
        "6 of 7 images are too small for crops of 2048x1024; 3 of them are large enough for "
        "1024x512: set curate.width_px to 1024 and curate.height_px to 512"
    )
    advice = advise_on_size([*small, row(640, 480, "too_small")], BIG)
    assert "7 of them are large enough for 512x256" in advice


def test_borders_do_not_count():
    framed = row(1600, 1200, "too_small", content=(1000, 600))
    assert "512x256" in advise_on_size([framed], BIG)


def test_few_small_images_are_no_reason_to_change_the_size():
    rows = [row(1600, 1200, "too_small"), *[row(4000, 3000)] * 4]
    assert advise_on_size(rows, BIG) is None
    assert advise_on_size(rows[:4], BIG) is not None
    assert advise_on_size([{"reason": "not_image"}] * 9 + rows[:4], BIG) is not None


@pytest.mark.parametrize("size", [(90, 40), (1, 1)])
def test_no_size_is_proposed_that_is_too_small_for_any_model(size):
    assert advise_on_size([row(*size, "too_small")], BIG) is None


def test_sizes_that_cannot_be_halved_and_buckets_get_no_advice():
    small = [row(1600, 600, "too_small")]
    assert advise_on_size(small, but(BIG, width_px=2049)) is None
    assert advise_on_size(small, but(BIG, buckets=((2048, 1024), (1024, 2048)))) is None
    assert advise_on_size([], BIG) is None


def test_the_stage_logs_the_proposal_and_a_closed_gate_names_it(tmp_path, caplog):
    config = but(CURATE, width_px=512, height_px=256)
    pictures = {f"small-{number}": jpeg(scene(number)) for number in range(2)}
    pictures["large"] = jpeg(scene(5, 640, 400))
    write_raw(tmp_path / "raw", pictures)
    caplog.set_level(logging.INFO)
    curate(config, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
    text = "2 of 3 images are too small for crops of 512x256; 2 of them are large enough for 256x"
    assert text in caplog.text
    assert "kept" in caplog.messages[-1], "the table of a run shows the last line"
    with pytest.raises(QualityGate, match=r"Nothing was written\. 2 of 3 images are too small"):
        curate(but(config, min_kept=2), raw=tmp_path / "raw", decisions=tmp_path / "again")
