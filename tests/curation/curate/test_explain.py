"""What is said about one picture."""

import time

import pytest
from curation_pictures import CURATE, jpeg, key_of, row_of, scene, unfetched_row

from pdm import cli
from pdm.curation.curate.explain import explain
from pdm.curation.curate.judge import judge
from pdm.data import decisions as tables
from pdm.data.shards import manifest
from pdm.data.shards.tars import Member, write_tar
from pdm.errors import BadInput
from pdm.files import write_json

NAMES = {
    "good.jpg": scene(0),
    "other.jpg": scene(1),
    "small.jpg": scene(2, 100, 90),
    "grey.jpg": scene(3).point(lambda value: value // 12),
    "copy.jpg": scene(1),
}


@pytest.fixture
def folder(tmp_path):
    rows = [unfetched_row() | {"outcome": "dropped"}]
    target = {"target_width_px": 256, "target_height_px": 128, "tar": "00000.tar"}
    for name, image in NAMES.items():
        place = Member(f"{key_of(name)}.jpg", 512, 1000)
        rows.append(row_of(name, jpeg(image), place) | judge(jpeg(image), CURATE) | target)
    rows[-1] |= {"outcome": "dropped", "reason": "exact_duplicate", "detail": "The same file."}
    rows[-1] |= {"duplicate_of": key_of("other.jpg")}
    rows[-1] |= {"nearest": key_of("other.jpg"), "difference": 0.125}
    rows[2]["cluster"] = rows[-1]["cluster"] = "group"
    (tmp_path / "decisions").mkdir()
    tables.save(tmp_path / "decisions", rows)
    limits = {name: getattr(CURATE, name) for name in CURATE.__slots__}
    write_json(tmp_path / "decisions" / "summary.json", {"limits": limits})
    return tmp_path


def explain_text(folder, name):
    return explain(name, decisions=folder / "decisions", shards=folder / "shards")


def test_a_kept_picture_has_its_scores_limits_and_crop(folder):
    text = explain_text(folder, key_of("good.jpg"))
    assert text.startswith(f"{key_of('good.jpg')} was kept.\n")
    assert "320 x 200 pixels, JPEG, RGB" in text
    assert "licence CC0-1.0, author A. Painter" in text
    assert "redirect  http://store.test/good.jpg" in text
    assert "fetched   2026-11-21T10:00:00Z, " in text
    assert "min_sharpness 0.22: inside by" in text
    assert "max_brightness 0.92: inside by" in text
    assert "OUTSIDE" not in text
    assert "reduced 1.25 times to 256 x 128" in text
    assert "run `pyramid shard`" in text


def test_its_shard_and_split_are_named(folder):
    tar = folder / "shards" / "val-000000.tar"
    write_tar(tar, [(key_of("good.jpg"), {"jpg": b"x", "json": b"{}"})])
    manifest.Manifest({"train": [], "val": [manifest.Shard.of(tar, 1)]}, {}).save(tar.parent)
    assert "val-000000.tar, split val" in explain_text(folder, "good.jpg")
    assert "none in" in explain_text(folder, "other.jpg")


def test_a_dropped_picture_says_which_limit_and_by_how_much(folder):
    text = explain_text(folder, "grey.jpg")
    assert "was not kept (dropped: dark). Mean brightness 0.0" in text
    assert "min_brightness 0.08: OUTSIDE by" in text
    assert "  judged    320 x 160 pixels" in text


def test_the_size_is_held_against_the_finished_size(folder):
    text = explain_text(folder, "small.jpg")
    assert "(dropped: too_small). 100 x 90 pixels" in text
    assert "room              0.3906   finished size 1: OUTSIDE by 0.6094" in text


def test_a_duplicate_and_its_keeper_name_their_group(folder):
    for name in ("copy.jpg", "other.jpg"):
        text = explain_text(folder, name)
        assert "2 images are alike" in text
        assert f"{key_of(name)} (this one)" in text
        assert f"exact_duplicate of {key_of('other.jpg')}" in text
    copy = explain_text(folder, "copy.jpg")
    assert f"nearest   {key_of('other.jpg')}, of the kept images" in copy
    assert "near_duplicate_difference 0.25: OUTSIDE by 0.125" in copy
    assert "alike" not in explain_text(folder, "good.jpg")


def test_what_was_never_fetched_says_why(folder):
    text = explain_text(folder, "missing")
    assert "(dropped: http_404)" in text
    assert "no: HTTP Error 404: Not Found" in text


@pytest.mark.parametrize(
    "name", [key_of("good.jpg")[:8], "http://pictures.test/good.jpg", "good.jpg", "good"]
)
def test_a_part_of_the_key_the_address_or_the_name_of_the_file_is_enough(folder, name):
    assert explain_text(folder, name).startswith(key_of("good.jpg"))


def test_a_name_that_fits_several_lists_them(folder):
    with pytest.raises(BadInput, match=r"matches 5 images: .*; give a longer part of the name"):
        explain_text(folder, ".jpg")


@pytest.mark.parametrize("name", ["god.jpg", "http://pictures.test/goood.jpg"])
def test_an_unknown_name_gets_the_nearest(folder, name):
    with pytest.raises(BadInput, match=f"nearest are .*good.jpg \\({key_of('good.jpg')}\\)"):
        explain_text(folder, name)


def test_the_command_prints_it(folder, capsys):
    decided, shards = ["--decisions", f"{folder}/decisions"], ["--shards", f"{folder}/shards"]
    assert cli.main(["curate", "explain", "good.jpg", *decided, *shards]) == 0
    assert "was kept." in capsys.readouterr().out
    assert cli.main(["curate", *decided, "explain", "good.jpg", *shards]) == 0
    assert "was kept." in capsys.readouterr().out
    assert cli.main(["curate", "explain", "", *decided, *shards]) == 2
    assert capsys.readouterr().err.startswith("error: no image matches ''")


def test_the_nearest_of_very_many_names_is_found_in_seconds(tmp_path):
    rows = [
        {"key": f"{number:020x}", "url": f"http://pictures.test/{number}/meadow-{number % 97}.jpg"}
        for number in range(100_000)
    ]
    tables.save(tmp_path, rows)
    write_json(tmp_path / "summary.json", {"limits": {}})
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"nearest are http://pictures\.test/77777/meadow-80\.jpg"):
        explain("http://picture.test/77777/meadw-80.jpg", decisions=tmp_path, shards=tmp_path)
    assert time.monotonic() - began < 10
