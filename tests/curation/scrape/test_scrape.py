"""The stage with the real img2dataset, over loopback, in two runs that share their fixtures."""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from guard_settings import settings

from pdm.config.stages.scrape import BuiltinSource, FolderSource, UrlListSource
from pdm.curation.scrape import scrape
from pdm.curation.scrape.drawing.scene import choose
from pdm.curation.scrape.fetching import supervisor
from pdm.curation.scrape.fetching.img2dataset import find_img2dataset
from pdm.curation.scrape.raw import SCHEMA, shard_of
from pdm.curation.scrape.sources import builtin, flawed
from pdm.curation.scrape.sources.loopback import serve
from pdm.data.shards.tars import members, read_at
from pdm.errors import BadInput, QualityGate, Unavailable
from pdm.files import sha256_of

JPEG = b"\xff\xd8\xff\xe0 picture"
BUILTIN = BuiltinSource(
    kind="builtin", num_landscapes=3, num_flawed_per_kind=1, width_px=256, height_px=144, seed=0
)


def rows_of(raw: Path) -> list[dict]:
    return [
        row for file in sorted(raw.glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


def content_of(raw: Path, row: dict, num_shards: int = 3) -> bytes:
    tar = raw / f"{shard_of(row['key'], num_shards):05}.tar"
    return read_at(tar, row["offset"], row["size"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder source."""
    path = tmp_path_factory.mktemp("source") / "pictures"
    path.mkdir()
    (path / "a.jpg").write_bytes(JPEG)
    (path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(2**20))
    (path / "COPYRIGHT").write_text("all mine")
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory, folder):
    """Two runs of one config: drawn pictures, a folder, and a list of what must not be fetched."""
    base = tmp_path_factory.mktemp("runs")
    bad = base / "bad.txt"
    bad.write_text("file:///etc/passwd\nhttp://127.0.0.1/x.jpg\n")
    sources = (
        BUILTIN,
        FolderSource(kind="folder", path=str(folder), licence="CC0-1.0"),
        UrlListSource(kind="urls", path=str(bad)),
    )
    counts = [scrape(settings(*sources), raw=base / name) for name in ("first", "second")]
    return base / "first", base / "second", counts


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """A run of a list that may reach this machine, where a picture and a silent host wait."""
    base = tmp_path_factory.mktemp("listed")
    picture = base / "picture.jpg"
    picture.write_bytes(JPEG)
    files = {"/a,b.jpg": picture, "/ü.jpg": picture}
    with socket.socket() as closed, serve(files, {}) as address:
        closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
        port = closed.getsockname()[1]
        names = ["a,b.jpg", "a,b.jpg#again", "ü.jpg", "absent.jpg"]
        lines = [f"{address}/{name}" for name in names] + [f"http://127.0.0.1:{port}/x.jpg"]
        urls = base / "list.txt"
        urls.write_text("\n".join(lines), encoding="utf-8")
        source = UrlListSource(kind="urls", path=str(urls), allow_private_addresses=True)
        scrape(settings(source), raw=base / "raw")
    return base / "raw"


def test_every_url_and_file_has_one_row(runs):
    rows = rows_of(runs[0])
    assert len(rows) == len(builtin.file_names(BUILTIN)) + 2 + 3 + 2
    assert len({row["key"] for row in rows}) == len(rows)
    assert Counter(row["status"] for row in rows) == Counter(runs[2][0])


def test_the_summary_adds_up(runs):
    summary = json.loads((runs[0] / "summary.json").read_text())
    assert summary["num_rows"] == sum(summary["status"].values()) == sum(summary["source"].values())
    lost = summary["status"]["failed"] + summary["status"]["dropped"]
    assert sum(summary["reason"].values()) == lost


def test_what_cannot_be_had_says_why(runs):
    found = {row["url"].rpartition("/")[2]: row for row in rows_of(runs[0])}
    reasons = {name: (row["status"], row["reason"]) for name, row in found.items()}
    assert reasons[builtin.MISSING] == ("dropped", "http_404")
    assert reasons[builtin.SLOW] == ("failed", "timeout")
    assert reasons["COPYRIGHT"] == ("dropped", "not_image")
    assert reasons["large.png"] == ("dropped", "too_large")
    assert reasons["passwd"] == ("dropped", "bad_url")
    assert reasons["x.jpg"] == ("dropped", "blocked_address")
    assert all(found[name]["error_message"] for name in reasons if reasons[name][0] != "ok")


def test_bytes_arrive_unchanged_even_if_they_are_no_picture(runs):
    for row in rows_of(runs[0]):
        if row["status"] != "ok":
            assert row["member"] is None
            continue
        content = content_of(runs[0], row)
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert len(content) == row["num_bytes"] == row["size"]
    page = next(row for row in rows_of(runs[0]) if "not_an_image" in row["url"])
    assert page["member"].endswith(".bin")
    made = flawed.draw_flawed("not_an_image", 0, 0, 256, 144, landscapes=3)
    assert content_of(runs[0], page) == made


def test_drawn_pictures_are_those_of_their_names(runs):
    row = next(row for row in rows_of(runs[0]) if row["url"].endswith("landscape-00002.jpg"))
    assert content_of(runs[0], row) == flawed.draw_good(0, 2, 256, 144)
    assert row["url"] == "http://builtin.invalid/0/256x144/landscape-00002.jpg"
    assert row["licence"] == "CC0-1.0"
    scene = choose(0, 2)
    assert (row["class_name"], row["caption"]) == (scene.land, scene.caption)
    assert json.loads((runs[0] / "summary.json").read_text())["class"]["mountains"] == 2


def test_shards_hold_their_own_keys_in_order(runs):
    for number in range(3):
        rows = pq.read_table(runs[0] / f"{number:05}.parquet")
        assert rows.schema.equals(SCHEMA)
        keys = rows["key"].to_pylist()
        assert keys == sorted(keys)
        assert {shard_of(key, 3) for key in keys} == {number}
        names = [member.name for member in members(runs[0] / f"{number:05}.tar")]
        assert names == [name for name in rows["member"].to_pylist() if name]


def test_two_runs_give_the_same_bytes(runs):
    first, second = (
        {path.name: sha256_of(path) for path in run.iterdir()} for run in (runs[0], runs[1])
    )
    assert first == second
    assert len(first) == 2 * 3 + 1


def test_nothing_is_left_beside_the_shards(runs):
    assert {path.name for path in runs[0].parent.iterdir()} == {"first", "second", "bad.txt"}


def test_a_list_is_fetched_with_its_odd_urls(listed):
    reasons = Counter((row["status"], row["reason"]) for row in rows_of(listed))
    assert reasons == {
        ("ok", None): 2,
        ("dropped", "duplicate_url"): 1,
        ("dropped", "http_404"): 1,
        ("failed", "connect"): 1,
    }
    fetched = [row for row in rows_of(listed) if row["status"] == "ok"]
    assert {row["url"].rpartition("/")[2] for row in fetched} == {"a,b.jpg", "ü.jpg"}
    assert all(content_of(listed, row) == JPEG for row in fetched)


def test_rows_of_a_list_tell_when_they_were_fetched_and_others_do_not(listed, runs):
    tried = [row for row in rows_of(listed) if row["reason"] != "duplicate_url"]
    assert all(row["retrieved_at"].endswith("+00:00") for row in tried)
    assert all(row["retrieved_at"] is None for row in rows_of(runs[0]))


def test_a_broken_gate_publishes_nothing_and_leaves_what_was_there(folder, tmp_path):
    raw = tmp_path / "raw"
    source = FolderSource(kind="folder", path=str(folder))
    scrape(settings(source), raw=raw)
    before = {path.name: sha256_of(path) for path in raw.iterdir()}
    with pytest.raises(QualityGate, match="too_large 2"):
        scrape(settings(source, max_image_mib=1e-6), raw=raw)
    assert {path.name: sha256_of(path) for path in raw.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_too_many_failures_break_the_gate(tmp_path, folder, monkeypatch):
    urls = tmp_path / "list.txt"
    urls.write_text("".join(f"http://a{n}.invalid/x.jpg\n" for n in range(3)))
    sources = (
        FolderSource(kind="folder", path=str(folder)),
        UrlListSource(kind="urls", path=str(urls)),
    )
    with pytest.raises(QualityGate, match=r"max_failed_share = 0\.5"):
        scrape(settings(*sources), raw=tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_a_bad_source_stops_the_stage_before_anything_is_drawn(tmp_path):
    absent = UrlListSource(kind="urls", path=str(tmp_path / "absent.txt"))
    with pytest.raises(BadInput, match="no such URL list"):
        scrape(settings(BUILTIN, absent), raw=tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_drawn_ends_the_stage_with_the_reason(tmp_path):
    # The second landscape of this size has no room for its horizon.
    speck = replace(BUILTIN, num_landscapes=2, num_flawed_per_kind=0, width_px=2, height_px=2)
    with pytest.raises(IndexError, match="out of bounds"):
        scrape(settings(speck), raw=tmp_path / "raw")
    assert list(tmp_path.iterdir()) == []


def test_without_img2dataset_the_stage_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PYRAMID_IMG2DATASET", str(tmp_path / "absent"))
    with pytest.raises(Unavailable, match="make setup"):
        scrape(settings(BUILTIN), raw=tmp_path / "raw")


def test_an_img2dataset_that_does_not_run_is_reported_with_its_last_lines(tmp_path, monkeypatch):
    command = tmp_path / "img2dataset"
    command.write_text("#!/bin/sh\necho no such module >&2\nexit 0\n")
    command.chmod(0o755)
    urls = tmp_path / "list.txt"
    urls.write_text("http://127.0.0.1:9/x.jpg\n")
    source = UrlListSource(kind="urls", path=str(urls), allow_private_addresses=True)
    monkeypatch.setenv("PYRAMID_IMG2DATASET", str(command))
    assert find_img2dataset() == command
    with pytest.raises(Unavailable, match="no such module"):
        scrape(settings(source), raw=tmp_path / "raw")


STARTER = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-I", sys.argv[1], "sh", "-c", sys.argv[2]])
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_workers_do_not_outlive_a_killed_parent(tmp_path):
    pids = tmp_path / "pids"
    worker = f"sleep 60 & echo $! >> {pids}; sleep 60 & echo $! >> {pids}; wait"
    parent = subprocess.Popen([sys.executable, "-c", STARTER, supervisor.__file__, worker])
    deadline = time.monotonic() + 20
    while not pids.exists() or len(pids.read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    while any(_runs(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_the_supervisor_hands_on_the_exit_code():
    command = [sys.executable, "-I", supervisor.__file__, "sh", "-c", "exit 3"]
    assert subprocess.run(command, check=False).returncode == 3
