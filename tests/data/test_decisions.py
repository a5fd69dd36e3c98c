import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pdm.data import decisions
from pdm.errors import BadInput

ROWS = [
    {"key": f"{number:020x}", "url": f"http://a.test/{number}", "sharpness": number / 100}
    for number in range(100)
]


@pytest.fixture
def folder(tmp_path):
    decisions.save(tmp_path, ROWS[::-1])
    return tmp_path


def test_rows_come_back_in_key_order_with_null_for_what_they_lack(folder):
    found = decisions.load(folder)
    assert [row["url"] for row in found] == [row["url"] for row in ROWS]
    assert set(found[0]) == set(decisions.SCHEMA.names)
    assert found[0]["reason"] is None


def test_a_column_is_that_of_all_rows(folder):
    assert decisions.load_columns(folder, ("sharpness",)).to_pydict() == {
        "sharpness": [row["sharpness"] for row in ROWS]
    }


def test_matching_rows_are_the_same_as_those_of_the_whole_table(folder, monkeypatch):
    monkeypatch.setattr(decisions, "ROWS_PER_PART", 7)
    wanted = {ROWS[93]["key"], ROWS[5]["key"], "absent"}
    everything = decisions.load(folder)
    assert decisions.load_matching(folder, "key", wanted) == [everything[5], everything[93]]
    assert decisions.load_matching(folder, "key", []) == []


def test_a_missing_table_says_what_to_run(tmp_path):
    for read in (decisions.load, lambda at: decisions.load_matching(at, "key", ["1"])):
        with pytest.raises(BadInput, match="run `pyramid curate` first"):
            read(tmp_path)


def test_a_damaged_table_or_a_missing_column_says_what_to_run(tmp_path):
    (tmp_path / decisions.FILE_NAME).write_bytes(b"no parquet")
    with pytest.raises(BadInput, match="run `pyramid curate` again"):
        decisions.load(tmp_path)
    pq.write_table(pa.table({"key": ["1"]}), tmp_path / decisions.FILE_NAME)
    with pytest.raises(BadInput, match="run `pyramid curate` again"):
        decisions.load_matching(tmp_path, "key", ["1"])
