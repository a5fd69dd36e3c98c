"""A damaged table of rows or decisions is never read as another, and never ends in a traceback."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from pdm import params
from pdm.curation.curate.explain import explain
from pdm.curation.curate.raw import load_rows
from pdm.curation.scrape.raw import SCHEMA
from pdm.curation.shard import shard
from pdm.data import decisions
from pdm.data.parquet import write_table
from pdm.data.verification.raw_shards import check_raw
from pdm.errors import BadInput
from pdm.params.keys import DEFAULT


def facts(number: int) -> dict[str, object]:
    digest = hashlib.sha256(bytes([number])).hexdigest()
    url = f"http://pictures.example/{digest[20:40]}.jpg"
    return {"key": digest[:20], "url": url, "caption": digest[::-1], "sha256": digest}


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    rows = [facts(number) | {"status": "failed"} for number in range(50)]
    write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "00000.parquet")
    (folder / "00000.tar").touch()
    return folder


@pytest.fixture(scope="module")
def decided(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("decisions")
    decisions.save(folder, [facts(number) | {"outcome": "kept"} for number in range(50)])
    return folder


def damaged_copies(file: Path, folder: Path) -> list[Path]:
    """Folders with a flipped bit, a hole of zeros and a cut at many places of the file."""
    whole = file.read_bytes()
    copies = []
    for place in range(4, len(whole), len(whole) // 25):
        flipped = bytes([whole[place] ^ 16])
        hole = bytes(min(64, len(whole) - place))
        for content in (
            whole[:place] + flipped + whole[place + 1 :],
            whole[:place] + hole + whole[place + len(hole) :],
            whole[:place],
        ):
            copy = folder / f"{len(copies)}"
            copy.mkdir()
            (copy / file.name).write_bytes(content)
            (copy / "00000.tar").touch()
            copies.append(copy)
    return copies


def assert_same_or_refused(load: Callable[[Path], object], whole: Path, copies: list[Path]) -> None:
    expected, num_refused = load(whole), 0
    for copy in copies:
        try:
            found = load(copy)
        except BadInput:
            num_refused += 1
        else:
            assert found == expected
    assert num_refused > len(copies) / 2


def test_damaged_rows_of_raw_shards_are_refused(raw, tmp_path):
    copies = damaged_copies(raw / "00000.parquet", tmp_path)
    assert_same_or_refused(load_rows, raw, copies)
    assert sum(bool(check_raw(copy).damages) for copy in copies) > len(copies) / 2


def test_damaged_decisions_are_refused(decided, tmp_path):
    copies = damaged_copies(decided / "decisions.parquet", tmp_path)
    assert_same_or_refused(decisions.load, decided, copies)
    key = facts(7)["key"]
    assert_same_or_refused(
        lambda folder: decisions.load_matching(folder, "key", [str(key)]), decided, copies
    )


@pytest.mark.parametrize("content", [None, "", "[]", "{", "{}", '{"limits": 3}'])
def test_a_damaged_summary_of_decisions_is_named_with_what_to_do(content, decided, tmp_path):
    folder = Path(shutil.copytree(decided, tmp_path / "decisions"))
    if content is not None:
        (folder / "summary.json").write_text(content)
    outputs = {"shards": tmp_path / "shards", "report": tmp_path / "data.html"}
    config = params.load(DEFAULT).shard
    for use in (
        lambda: explain(str(facts(7)["key"]), decisions=folder, shards=outputs["shards"]),
        lambda: shard(config, raw=tmp_path, decisions=folder, **outputs),
    ):
        with pytest.raises(BadInput, match=r"decisions/summary\.json .*run `pyramid curate` again"):
            use()
