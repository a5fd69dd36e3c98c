"""What is finished of a large picture stays beside its file, and nothing else is removed."""

import pytest

from pdm.inference.any_size.unfinished import unfinished


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
    with unfinished(tmp_path / "photo[1].png", {}):
        pass
    assert other.exists()
