"""Who trains and who is held out."""

import random

import pytest
from curation_pictures import key_of

from pdm.curation.shard.split import assign_splits, shard_of


def picture(name, cluster=None, outcome="kept"):
    key = key_of(f"{name}")
    return {
        "key": key,
        "sha256": key_of(f"content {name}"),
        "cluster": cluster or key,
        "outcome": outcome,
    }


def strangers(count):
    return [picture(number) for number in range(count)]


def splits(rows, val_share=0.25):
    return assign_splits(rows, val_share)


def test_a_new_image_moves_no_other():
    rows = strangers(200)
    before, after = splits(rows[:199]), splits(rows)
    assert all(after[key] == split for key, split in before.items())
    assert 30 <= list(after.values()).count("val") <= 70
    assert {shard_of(row["key"], 3) for row in rows} == {0, 1, 2}


@pytest.mark.parametrize("val_share", [0.0001, 0.9999])
def test_two_images_are_enough_for_both_splits(val_share):
    rows = strangers(2)
    found = splits(rows, val_share)
    assert sorted(found.values()) == ["train", "val"]
    assert splits(rows[::-1], val_share) == found


@pytest.mark.parametrize("val_share", [0.0001, 0.9999])
def test_four_images_leave_two_in_either_split(val_share):
    found = splits(strangers(4), val_share)
    assert sorted(found.values()) == ["train", "train", "val", "val"]


def test_only_kept_images_have_a_split():
    rows = [*strangers(5), picture("copy", outcome="dropped"), picture("odd") | {"cluster": None}]
    assert set(splits(rows)) == {row["key"] for row in rows[:5]}


@pytest.mark.parametrize("seed", range(5))
def test_images_that_hang_together_are_in_one_split_in_any_order(seed):
    shuffled = random.Random(seed)
    rows = [picture(number, cluster=f"{number // 3}") for number in range(300)]
    expected = splits(rows)
    for number in range(100):
        together = {expected[row["key"]] for row in rows[3 * number : 3 * number + 3]}
        assert len(together) == 1
    shuffled.shuffle(rows)
    assert splits(rows) == expected
    assert set(expected.values()) == {"train", "val"}


def test_what_trained_once_is_never_held_out_when_near_duplicates_arrive():
    """Each of 300 later pictures is like one of the first, and every other one takes its place."""
    old = strangers(300)
    before = splits(old)
    new = [picture(f"new {number}", cluster=old[number]["key"]) for number in range(300)]
    for number in range(300):
        (old if number % 2 else new)[number]["outcome"] = "dropped"
    after = splits([*old, *new])
    came_from = {new[number]["key"]: old[number]["key"] for number in range(300)}
    moves = {(before[came_from.get(key, key)], split) for key, split in after.items()}
    assert moves == {("train", "train"), ("val", "val"), ("val", "train")}


def test_one_group_of_near_duplicates_is_all_in_one_split():
    rows = [picture(number, cluster="one") for number in range(10)]
    assert len(set(splits(rows).values())) == 1


def crops_of(photographs, crops_each=8):
    """Rows as a folder source gives them, with a folder for the crops of each photograph."""
    return [
        picture(f"{photograph} {crop}")
        | {"source": "folder:crops", "url": f"crops/{photograph}/{crop}.png"}
        for photograph in photographs
        for crop in range(crops_each)
    ]


def split_by_folder(rows):
    found = assign_splits(rows, 0.25, "folder")
    by_folder = {}
    for row in rows:
        by_folder.setdefault(row["url"].split("/")[1], set()).add(found[row["key"]])
    return by_folder


def test_all_crops_of_a_photograph_are_in_one_split():
    rows = crops_of(range(200))
    by_folder = split_by_folder(rows)
    assert all(len(splits) == 1 for splits in by_folder.values())
    assert 30 <= sum(splits == {"val"} for splits in by_folder.values()) <= 70
    assert split_by_folder(rows[::-1]) == by_folder
    assert split_by_folder(crops_of(range(100))).items() <= by_folder.items()


def test_near_duplicates_join_the_folders_that_they_are_in():
    """The first crop of each later photograph is like the last one of the photograph before."""
    rows = crops_of(range(40))
    for number in range(1, 20):
        rows[8 * number]["cluster"] = rows[8 * number - 1]["cluster"]
    by_folder = split_by_folder(rows)
    assert {tuple(by_folder[f"{number}"]) for number in range(20)} == {("train",)}
    assert {"val"} in by_folder.values()
