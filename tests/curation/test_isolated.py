"""A decoder that hangs or crashes (A19, A20 of the list of faults) costs its own picture alone."""

import os
import signal
import threading
import time

import pyarrow.parquet as pq
import pytest
from curation_pictures import CURATE, but, jpeg, scene, write_raw

from pdm.curation.curate.isolated import IsolatedJudge
from pdm.curation.curate.judge import judge_row
from pdm.data.decisions import DECIDED


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("isolated") / "raw"
    write_raw(folder, {"one": jpeg(scene(1)), "two": jpeg(scene(2))}, num_shards=1)
    return folder


@pytest.fixture(scope="module")
def rows(raw):
    fetched = pq.read_table(raw / "00000.parquet").to_pylist()
    return [row | {"tar": "00000.tar"} for row in fetched if row["status"] == "ok"]


@pytest.fixture(scope="module")
def judge():
    judge = IsolatedJudge()
    yield judge
    judge.close()


def child_of(judge):
    return judge._started().pid


def test_another_process_judges_as_this_one_does(judge, raw, rows):
    assert [judge(row, raw, CURATE) for row in rows] == [
        judge_row(row, raw, CURATE) for row in rows
    ]


def test_a_picture_that_takes_too_long_is_dropped_and_the_next_is_judged(judge, raw, rows):
    os.kill(child_of(judge), signal.SIGSTOP)  # as a decoder that never ends
    begin = time.monotonic()
    stuck = judge(rows[0], raw, but(CURATE, decode_seconds=0.5))
    assert time.monotonic() - begin < 5
    assert (stuck["outcome"], stuck["reason"]) == ("dropped", "decode_timeout")
    assert "0.5 seconds" in stuck["detail"]
    assert judge(rows[1], raw, CURATE)["outcome"] == "kept"


def test_a_decoder_that_crashes_costs_its_own_picture(judge, raw, rows):
    child = child_of(judge)
    os.kill(child, signal.SIGSTOP)

    def crash():
        os.kill(child, signal.SIGSEGV)
        os.kill(child, signal.SIGCONT)

    threading.Timer(0.3, crash).start()
    fallen = judge(rows[0], raw, CURATE)
    assert (fallen["outcome"], fallen["reason"]) == ("dropped", "decoder_crash")
    assert f"code -{int(signal.SIGSEGV)}" in fallen["detail"]
    assert fallen.keys() == {"key", *DECIDED}
    assert judge(rows[0], raw, CURATE)["outcome"] == "kept"


def test_the_process_ends_when_it_is_closed(judge):
    child = child_of(judge)
    judge.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
