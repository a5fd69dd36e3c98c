"""What is finished of a large picture stays beside its file, and nothing else is removed."""

import numpy as np
import pytest

from pdm.inference.any_size.unfinished import load_or_draw, remove_unfinished, unfinished


def interrupt(path, facts):
    """Give the folder that an interrupted writer of a file leaves."""
    with pytest.raises(KeyboardInterrupt), unfinished(path, facts) as folder:
        raise KeyboardInterrupt
    return folder


def test_what_was_begun_from_other_facts_is_removed(tmp_path):
    path = tmp_path / "photo [1].png"
    before = interrupt(path, {"seed": 1})
    after = interrupt(path, {"seed": 2})
    assert [each.name for each in tmp_path.iterdir()] == [after.name]
    assert before != after


@pytest.mark.parametrize("name", ["photo1.png", "photo[1].png-2.png"])
def test_what_is_finished_of_another_picture_stays(name, tmp_path):
    other = interrupt(tmp_path / name, {})
    own = interrupt(tmp_path / "photo[1].png", {})
    remove_unfinished(tmp_path / "photo[1].png")
    assert not own.exists()
    with unfinished(tmp_path / "photo[1].png", {}):
        pass
    assert other.exists()


def test_a_picture_takes_its_place_on_the_disk_row_by_row(tmp_path):
    """A file with holes would have ended the process by SIGBUS where the disk is full."""
    picture = np.random.default_rng(0).integers(0, 256, (300, 70, 3), np.uint8)

    def draw():
        for top in range(0, 300, 100):
            [file] = tmp_path.iterdir()
            assert file.stat().st_size <= 128 + top * 70 * 3
            yield picture[top : top + 100]

    found = load_or_draw(tmp_path / "a.npy", (300, 70), draw)
    np.testing.assert_array_equal(found, picture)
    np.testing.assert_array_equal(load_or_draw(tmp_path / "a.npy", (300, 70), list), picture)
