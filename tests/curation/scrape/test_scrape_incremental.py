"""Runs that follow each other, with the real img2dataset: nothing is fetched twice, failures are
tried again when asked, removals leave everything, and increments equal a run from nothing."""

import errno
import hashlib
import json
import logging
import resource
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from faultserver import JPEG, serving
from guard_settings import settings

from pdm.cli import main
from pdm.config.stages.scrape import UrlListSource
from pdm.curation.scrape import scrape
from pdm.curation.scrape.entries import Outcome, key_of
from pdm.curation.scrape.fetching.cache import FetchCache
from pdm.curation.scrape.fetching.fetch import disk_fault
from pdm.curation.scrape.guard.addresses import any_address, public_only
from pdm.curation.scrape.guard.fetcher import Target
from pdm.curation.scrape.removal.removal_list import read_removals
from pdm.data.shards import listing
from pdm.errors import BadInput, QualityGate
from pdm.files import sha256_of
from pdm.params.keys import DEFAULT

SHA256 = hashlib.sha256(JPEG).hexdigest()


class Project:
    """A list, a server, and runs of the stage over them."""

    def __init__(self, folder: Path, server) -> None:
        self.folder, self.server = folder, server
        self.raw, self.cache = folder / "raw", folder / "cache"

    def run(self, *paths: str, removed: str | None = None, raw=None, cache=None, **options) -> dict:
        """Rows by path; the server's hits start anew."""
        self.server.hits.clear()
        (self.folder / "list.txt").write_text("".join(f"{self.server.url}{p}\n" for p in paths))
        source = UrlListSource(
            kind="urls", path=str(self.folder / "list.txt"), allow_private_addresses=True
        )
        config = settings(source, num_shards=1, max_failed_share=0.9, removed=removed)
        raw = raw or self.raw
        scrape(config, raw=raw, cache=cache or self.cache, **options)
        rows = pq.read_table(raw / "00000.parquet").to_pylist()
        return {row["url"].removeprefix(self.server.url): row for row in rows}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with serving() as server:
        yield Project(tmp_path_factory.mktemp("incremental"), server)


def test_runs_that_follow_each_other(project, caplog):
    caplog.set_level(logging.INFO)
    paths = ["/ok?1", "/status?code=404", "/flaky/a?times=1&code=500"]
    first = project.run(*paths)
    assert [first[path]["status"] for path in paths] == ["ok", "dropped", "failed"]

    # Ten more would be ten: only what is new is asked for.
    second = project.run(*paths, "/ok?2")
    assert dict(project.server.hits) == {"/ok": 1}
    assert "1 URL to fetch, 3 fetched before" in caplog.text
    assert {path: second[path] for path in paths} == {
        path: row | {"offset": second[path]["offset"]} for path, row in first.items()
    }

    # The same bytes as in a run from nothing, but for the times.
    project.server.robots = (404, "")
    from_nothing = project.folder / "from-nothing"
    project.run(*paths[:2], "/ok?2", raw=from_nothing, cache=project.folder / "other")
    project.run(*paths[:2], "/ok?2", cache=project.cache)
    assert sha256_of(project.raw / "00000.tar") == sha256_of(from_nothing / "00000.tar")
    one, other = (pq.read_table(raw / "00000.parquet") for raw in (project.raw, from_nothing))
    assert one.drop_columns("retrieved_at").equals(other.drop_columns("retrieved_at"))

    # What failed, and nothing else, is tried again when asked for.
    again = project.run(*paths, retry_failed=True)
    assert [again[path]["status"] for path in paths] == ["ok", "dropped", "failed"]
    assert dict(project.server.hits) == {"/flaky/a": 1}


def test_what_failed_is_tried_again_by_reason(project, caplog):
    caplog.set_level(logging.INFO)
    paths = ["/ok?r", "/flaky/b?times=9&code=500", "/flaky/c?times=9&code=503", "/chunked-short"]
    first = project.run(*paths)
    failed = [first[path]["reason"] for path in paths[1:]]
    assert failed == ["http_500", "http_503", "short_body"]

    project.run(*paths, retry_failed=True, only_errors=("http_5xx",))
    assert set(project.server.hits) == {"/flaky/b", "/flaky/c"}
    assert "2 (http_500 1, http_503 1) fetched again, 1 (short_body 1) not" in caplog.text

    project.run(*paths, retry_failed=True, only_errors=("short_body", "http_500"))
    assert set(project.server.hits) == {"/chunked-short", "/flaky/b"}

    project.run(*paths, retry_failed=True, only_errors=("dns",))
    assert not project.server.hits
    assert "0 fetched again, 3 (http_500 1, http_503 1, short_body 1) not" in caplog.text


def test_what_failed_in_so_many_runs_is_left(project, caplog):
    caplog.set_level(logging.INFO)
    failed = Outcome(status="failed", reason="timeout", error_message="10 s")
    cache = FetchCache(project.cache, settings())
    for path, runs in (("/ok?once", 1), ("/ok?twice", 2)):
        url = f"{project.server.url}{path}"
        for _ in range(runs):
            cache.store(key_of(url), Target(url=url, rule=any_address), failed, None)

    found = project.run("/ok?once", "/ok?twice", retry_failed=True, max_failed_runs=2)
    assert [found[path]["status"] for path in ("/ok?once", "/ok?twice")] == ["ok", "failed"]
    assert dict(project.server.hits) == {"/ok": 1}
    log = "1 (timeout 1) fetched again, 0 not, 1 (timeout 1) not after 2 runs"
    assert log in caplog.text


def test_the_command_counts_runs_that_failed_and_leaves_what_failed_too_often(
    project, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    project.server.hits.clear()
    (tmp_path / "list.txt").write_text(
        f"{project.server.url}/flaky/d?times=9&code=500\n{project.server.url}/ok?d\n"
    )
    values = yaml.safe_load(DEFAULT.read_text())
    urls = {"kind": "urls", "path": "list.txt", "allow_private_addresses": True}
    values["scrape"] |= {"sources": [urls], "retries": 0, "max_failed_share": 0.9}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    retry = ["scrape", "--retry-failed", "--max-failed-runs", "2"]
    hits = []
    for command in (["scrape"], retry, retry):
        assert main(command) == 0
        hits.append(project.server.hits["/flaky/d"])
    assert hits == [1, 2, 2]


def test_a_disk_that_only_img2dataset_finds_full_is_no_failure_of_the_urls(project, tmp_path):
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # less than a tar, more than the rest
    try:
        with pytest.raises(OSError, match="File too large"):
            project.run("/ok?f", "/ok?g", raw=tmp_path / "raw", cache=tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "raw").exists()


def test_the_reason_is_found_among_the_lines_of_img2dataset(tmp_path):
    log = tmp_path / "img2dataset.log"
    for text, expected in (
        ("OSError: [Errno 28] No space left on device\nshard 0 failed", errno.ENOSPC),
        ("Sample 3 failed to download: [Errno 27] File too large", errno.EFBIG),
        ("[Errno 111] Connection refused\n", None),
        ("", None),
    ):
        log.write_text(f"a line\n{text}\n")
        assert disk_fault(log) == expected


@pytest.mark.parametrize("option", ["--only-errors=timeout", "--max-failed-runs=3"])
def test_what_chooses_among_failures_needs_the_option_that_retries(
    tmp_path, monkeypatch, capsys, option
):
    monkeypatch.chdir(tmp_path)
    assert main(["scrape", option]) == 2
    assert "add --retry-failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("reasons", "complaint"),
    [
        (
            "timeot",
            "'timeot' is no reason for which a URL is fetched again; did you mean 'timeout'",
        ),
        ("dns,http_5x", "'http_5x' is no reason for which a URL is fetched again; did you mean"),
        ("http_404", "'http_404' is no reason for which"),  # a final refusal
        ("zzz", "'zzz' is no reason for which a URL is fetched again; there are timeout, dns, "),
    ],
)
def test_a_reason_for_which_nothing_is_tried_again_is_refused(
    tmp_path, monkeypatch, capsys, reasons, complaint
):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_bytes(DEFAULT.read_bytes())
    assert main(["scrape", "--retry-failed", "--only-errors", reasons]) == 2
    assert complaint in capsys.readouterr().err
    assert not Path("data").exists()


def test_a_list_without_a_reason_does_not_mean_all_reasons(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["scrape", "--retry-failed", "--only-errors", " , "])
    assert "' , ' names no reason" in capsys.readouterr().err


def test_removals_leave_the_next_version_and_the_cache_and_models_are_named(project, caplog):
    rows = project.run("/ok?a", "/ok?b", "/chunked", "/slow?seconds=0")
    keys = {path: row["key"] for path, row in rows.items()}
    removed = project.folder / "removed.txt"
    removed.write_text(f"# by url\n{project.server.url}/ok?a#x\n\n{keys['/ok?b']}\n")
    model = project.folder / "models" / "one"
    model.mkdir(parents=True)
    (model / "model.safetensors").touch()
    listing.write(model, [listing.Listed(key, "0" * 64, "train") for key in keys.values()])
    rows = project.run(
        "/ok?a",
        "/ok?b",
        "/chunked",
        removed=str(removed),
        models=project.folder / "models",
        decisions=project.folder,
    )
    assert f"{model}: trained on 2 removed images" in caplog.text
    assert [rows[path]["reason"] for path in ("/ok?a", "/ok?b", "/chunked")] == [
        "removed",
        "removed",
        None,
    ]
    assert not project.server.hits
    kept = {path.name for path in project.cache.glob("*/*")}
    assert not kept & {keys["/ok?a"], keys["/ok?b"]}
    assert keys["/chunked"] in kept


def test_a_picture_is_removed_by_its_content_from_any_source(project, tmp_path):
    removed = tmp_path / "removed.txt"
    removed.write_text(SHA256.upper())
    with pytest.raises(QualityGate, match="removed 2"):
        project.run("/ok?new", "/gzip", removed=str(removed))
    records = [json.loads(path.read_text()) for path in project.cache.glob("*/*.json")]
    assert SHA256 not in {record["sha256"] for record in records}


@pytest.mark.parametrize("line", ["not a url", "file:///etc/passwd", "abc123"])
def test_a_removal_that_is_not_understood_stops_the_stage(tmp_path, line):
    (tmp_path / "removed.txt").write_text(f"http://a.example/x\n{line}\n")
    with pytest.raises(BadInput, match="line 2"):
        read_removals(str(tmp_path / "removed.txt"))
    with pytest.raises(BadInput, match=r"scrape\.removed"):
        read_removals(str(tmp_path / "absent.txt"))


KEY = key_of("http://a.example/x")
TARGET = Target(url="http://a.example/x", rule=public_only)


@pytest.fixture
def cache(tmp_path):
    found = FetchCache(tmp_path / "cache", settings())
    (tmp_path / "picture").write_bytes(JPEG)
    outcome = Outcome(status="ok", retrieved_at="then", final_url="there", sha256=SHA256)
    found.store(KEY, TARGET, outcome, tmp_path / "picture")
    return found


def test_what_is_kept_is_known_again(cache):
    known = cache.look_up(KEY, TARGET)
    assert (known.retrieved_at, known.final_url) == ("then", "there")
    assert known.content.path.read_bytes() == JPEG


def test_a_damaged_picture_is_fetched_again(cache):
    cache.look_up(KEY, TARGET).content.path.write_bytes(JPEG[:-1] + b"!")
    assert cache.look_up(KEY, TARGET) is None


def test_runs_are_counted_in_which_a_url_failed_one_after_the_other(cache):
    failure = Outcome(status="failed", reason="timeout", error_message="5 s", retrieved_at="then")
    assert cache.failed_runs(KEY, TARGET) == 0
    for count in (1, 2, 3):
        cache.store(KEY, TARGET, failure, None)
        assert cache.failed_runs(KEY, TARGET) == count
    assert cache.failed_runs(KEY, Target(url="http://a.example/y", rule=public_only)) == 0
    cache.store(KEY, TARGET, Outcome(status="dropped", reason="http_404"), None)
    assert cache.failed_runs(KEY, TARGET) == 0
    cache.store(KEY, TARGET, failure, None)
    assert cache.failed_runs(KEY, TARGET) == 1


def test_a_failure_that_an_earlier_version_stored_counts_once(cache):
    cache.store(KEY, TARGET, Outcome(status="failed", reason="timeout"), None)
    path = next(cache.folder.glob("*/*.json"))
    record = json.loads(path.read_text())
    del record["failed_runs"]
    path.write_text(json.dumps(record))
    assert cache.failed_runs(KEY, TARGET) == 1
    assert cache.look_up(KEY, TARGET).reason == "timeout"


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}"])
def test_a_damaged_record_is_as_good_as_none(cache, damage):
    next(cache.folder.glob("*/*.json")).write_text(damage)
    assert cache.look_up(KEY, TARGET) is None
    assert cache.remove_matching(lambda key, url, sha256: key == KEY) == 1


def test_other_rules_ask_for_another_fetch(cache):
    assert cache.look_up(KEY, Target(url=TARGET.url, rule=any_address)) is None
    assert cache.look_up(KEY, Target(url=TARGET.url, rule=public_only, sha256="0" * 64)) is None
    stricter = FetchCache(cache.folder, settings(respect_robots=True))
    assert stricter.look_up(KEY, TARGET) is None
    larger = FetchCache(cache.folder, settings(max_image_mib=2.0))
    assert larger.look_up(KEY, TARGET)
