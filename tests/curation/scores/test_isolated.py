"""A decoder that hangs or crashes (A19, A20 of the list of faults) costs its own picture alone."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pyarrow.parquet as pq
import pytest
from curation_pictures import CURATE, but, jpeg, scene, write_raw

from pdm.config.stages.curate import PeopleConfig
from pdm.curation.curate.isolated import IsolatedJudge
from pdm.curation.curate.judge import judge_row
from pdm.data.decisions import JUDGED


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
    return judge._start().pid


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
    assert fallen.keys() == {"key", *JUDGED}
    assert judge(rows[0], raw, CURATE)["outcome"] == "kept"


HOSTILE = """
import pickle, struct, sys, pathlib
def say(body, length=None):
    head = struct.pack(">Q", len(body) if length is None else length)
    sys.stdout.buffer.write(head + body); sys.stdout.buffer.flush()
say(b'"ready"')
class Bomb:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path({mark!r}),))
sys.stdin.buffer.read(8)
say({answer})
sys.stdin.buffer.read()
"""
GOOD = dict.fromkeys(["key", *JUDGED]) | {"key": "one", "outcome": "kept"}
ANSWERS = {
    "a pickle that runs code": "pickle.dumps(Bomb())",
    "no JSON": "b'<html>'",
    "JSON too deep": "b'[' * 100_000",
    "no row": "b'[1, 2]'",
    "no text": "bytes(range(256))",
    "a column too few": repr(json.dumps(dict(list(GOOD.items())[:-1])).encode()),
    "a column of nobody": repr(json.dumps(GOOD | {"more": 1}).encode()),
    "a text for a number": repr(json.dumps(GOOD | {"width_px": "wide"}).encode()),
    "a number for a text": repr(json.dumps(GOOD | {"reason": 7}).encode()),
    "a number too large": repr(json.dumps(GOOD | {"width_px": 10**30}).encode()),
    "half a character": repr(json.dumps(GOOD | {"detail": "\ud800"}).encode()),
    "bytes that are none": repr(json.dumps(GOOD | {"small": "zz"}).encode()),
    "more than any answer": "b'', 2**62",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_no_answer_of_a_process_that_a_file_took_over_does_any_harm(name, raw, rows, tmp_path):
    mark = tmp_path / "was-here"
    judge = IsolatedJudge(HOSTILE.format(answer=ANSWERS[name], mark=str(mark)))
    lost = judge(rows[0], raw, but(CURATE, decode_seconds=10.0))
    judge.close()
    assert (lost["outcome"], lost["reason"]) == ("dropped", "decoder_crash")
    assert lost.keys() == {"key", *JUDGED}
    assert "an invalid answer" in lost["detail"]
    assert not mark.exists()


def test_an_answer_cannot_pass_for_another_image(raw, rows):
    answer = repr(json.dumps(GOOD | {"key": "another"}).encode())
    judge = IsolatedJudge(HOSTILE.format(answer=answer, mark=""))
    assert judge(rows[0], raw, CURATE)["key"] == rows[0]["key"]
    judge.close()


def test_bytes_that_changed_on_disk_are_reported_as_in_this_process(judge, raw, rows):
    changed = rows[0] | {"sha256": "0" * 64}
    assert judge(changed, raw, CURATE) == judge_row(changed, raw, CURATE)
    assert judge(changed, raw, CURATE)["reason"] == "damaged"


def test_settings_of_people_reach_the_process(judge, raw, rows):
    wanted = PeopleConfig(min_faces=1, max_faces=3, min_face_share=0.1)
    config = but(CURATE, people=wanted, background=(1, 2, 3))
    found = judge(rows[0], raw, config)
    assert found == judge_row(rows[0], raw, config)
    assert found["num_people"] == 0
    assert found["background"] == "#010203"


def test_the_process_ends_when_it_is_closed(judge):
    child = child_of(judge)
    judge.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_worker_does_not_load_torch_which_its_child_has():
    program = "import sys, pdm.curation.curate.isolated; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
