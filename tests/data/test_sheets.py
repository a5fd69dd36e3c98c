import numpy as np
import pytest

from pdm.data.sheets import BACKGROUND, MARGIN_PX, contact_sheet, split_into_rows


def pictures(count: int, height: int = 32, width: int = 64):
    return [np.full((height, width, 3), index, dtype=np.uint8) for index in range(count)]


@pytest.mark.parametrize(("count", "columns"), [(48, 6), (1, 1), (2, 1), (12, 3), (16, 4)])
def test_rows_fill_a_sheet_half_as_wide_again_as_it_is_high(count, columns):
    rows = split_into_rows(pictures(count))
    assert len(rows[0]) == columns
    assert sum(len(row) for row in rows) == count


@pytest.mark.parametrize("count", range(1, 60))
def test_no_number_of_pictures_is_lost(count):
    rows = split_into_rows(pictures(count))
    assert [int(p[0, 0, 0]) for row in rows for p in row] == list(range(count))


def test_small_pictures_are_enlarged_and_lie_on_the_ground():
    sheet = np.asarray(contact_sheet([[np.full((32, 64, 3), 200, dtype=np.uint8)] * 2]))
    assert sheet.shape == (4 * 32 + 2 * MARGIN_PX, 2 * 4 * 64 + 3 * MARGIN_PX, 3)
    assert tuple(sheet[0, 0]) == BACKGROUND
    assert (sheet[MARGIN_PX : MARGIN_PX + 128, MARGIN_PX : MARGIN_PX + 256] == 200).all()
