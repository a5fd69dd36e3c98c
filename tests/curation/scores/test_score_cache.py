"""Runs of `curate` that follow each other: what was measured once is not looked at again."""

import logging
import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import grimp
import pytest
import ray
from curation_pictures import CURATE, but, flawed, jpeg, scene, write_raw

from pdm.config.stages.curate import PeopleConfig
from pdm.curation.curate import curate
from pdm.curation.curate.cache import MEASURING, ScoreCache, remove_matching
from pdm.data.decisions import load
from pdm.files import sha256_of

NUM_OLD, NUM_NEW = 6, 10
OLD = {f"old-{number}": jpeg(scene(number)) for number in range(NUM_OLD)} | {
    "half": flawed()["unreadable"]
}
NEW = {f"new-{number}": jpeg(scene(20 + number)) for number in range(NUM_NEW)}
NOT_MEASURING = (
    *("pdm.config", "pdm.errors", "pdm.files", "pdm.machine.threads"),
    *("pdm.model_record", "pdm.weights"),
)
NOT_MEASURING += ("pdm.curation.curate.rules", "pdm.data.decisions", "pdm.data.parquet")
NOT_MEASURING += ("pdm.counts", "pdm.data.shards.tars", "pdm.disk_full")


class Runs:
    """One raw folder and one cache, and what was said about them last."""

    def __init__(self, folder, caplog):
        self.folder, self.caplog, self.count = folder, caplog, 0
        self.raw, self.cache = folder / "raw-0", folder / "cache"
        caplog.set_level(logging.INFO)

    def scrape(self, files):
        self.count += 1
        self.raw = self.folder / f"raw-{self.count}"
        write_raw(self.raw, files)

    def curate(self, config=CURATE, cached=True):
        """The folder of decisions."""
        self.caplog.clear()
        self.count += 1
        out = self.folder / f"decisions-{self.count}"
        curate(config, raw=self.raw, decisions=out, cache=self.cache if cached else None)
        return out

    def new_and_unchanged(self):
        found = re.search(r"judged (\d+) new, (\d+) unchanged", self.caplog.text)
        return tuple(map(int, found.groups()))


@pytest.fixture
def runs(tmp_path, caplog, ray_cluster):
    found = Runs(tmp_path, caplog)
    found.scrape(OLD)
    return found


def digests(folder):
    return {path.name: sha256_of(path) for path in sorted(folder.iterdir())}


def blank_tars(raw):
    """Pictures that cannot be looked at: whoever does finds them damaged."""
    for tar in raw.glob("*.tar"):
        tar.write_bytes(bytes(tar.stat().st_size))


def test_only_new_pictures_are_judged_with_the_result_of_a_run_from_scratch(runs):
    runs.curate()
    assert runs.new_and_unchanged() == (len(OLD), 0)
    runs.scrape(OLD | NEW)
    grown = runs.curate()
    assert runs.new_and_unchanged() == (NUM_NEW, len(OLD))
    assert digests(grown) == digests(runs.curate(cached=False))


def test_a_changed_limit_measures_nothing_again(runs):
    strict = but(CURATE, min_brightness=0.45, max_brightness=0.6, near_duplicate_bits=4)
    expected = runs.curate(strict, cached=False)
    kept = [{row["outcome"] for row in load(folder)} for folder in (expected, runs.curate())]
    assert kept[0] == kept[1] == {"kept", "dropped"}
    blank_tars(runs.raw)
    assert digests(runs.curate(strict)) == digests(expected)
    assert runs.new_and_unchanged() == (0, len(OLD))


@pytest.mark.parametrize(
    "change",
    [
        {"width_px": 128},
        {"height_px": 100},
        {"max_megapixels": 1.0},
        {"background": (0, 0, 0)},
        {"people": PeopleConfig(min_faces=1, max_faces=2, min_face_share=0.1)},
        {"decode_seconds": 20.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_have_their_own_cache(tmp_path, change):
    ScoreCache(tmp_path, CURATE).store({"a": {"width_px": 1}})
    assert ScoreCache(tmp_path, CURATE).load({"a"})
    assert not ScoreCache(tmp_path, but(CURATE, **change)).load({"a"})


def test_all_code_that_measures_names_the_version_of_the_scores():
    upstream = grimp.build_graph("pdm", cache_dir=None).find_upstream_modules(
        "pdm.curation.curate.judge"
    )
    measures = {name for name in upstream if not name.startswith(NOT_MEASURING)}
    assert measures | {"pdm.curation.curate.judge"} == set(MEASURING)


def test_a_damaged_part_is_noticed_and_its_pictures_are_judged_again(runs):
    expected = digests(runs.curate())
    (part,) = runs.cache.glob("*/*.parquet")
    content = part.read_bytes()
    part.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    assert digests(runs.curate()) == expected
    assert f"{part} is damaged" in runs.caplog.text
    assert runs.new_and_unchanged() == (len(OLD), 0)
    runs.curate()
    assert runs.new_and_unchanged() == (0, len(OLD))


def test_a_picture_that_is_no_longer_fetched_is_removed_for_all_settings(runs):
    runs.curate()
    runs.curate(but(CURATE, width_px=128))
    gone = {name: content for name, content in OLD.items() if name != "old-0"}
    runs.scrape(gone)
    runs.curate()
    assert "2 removed from the cache" in runs.caplog.text
    assert remove_matching(runs.cache, lambda sha256: True) == 2 * len(gone)
    assert not list(runs.cache.glob("*/*.parquet"))


def test_temporary_files_of_a_killed_run_are_removed_too(tmp_path):
    ScoreCache(tmp_path, CURATE).store({"a": {"width_px": 1}})
    (part,) = tmp_path.glob("*/*.parquet")
    for name in ("new", ".tmp-new"):
        part.with_name(name).write_bytes(part.read_bytes())
    assert remove_matching(tmp_path, lambda sha256: False) == 0
    assert [path.name for path in part.parent.iterdir()] == [part.name]


def test_many_small_parts_become_one(tmp_path):
    cache = ScoreCache(tmp_path, CURATE)
    names = {f"{number:02}" for number in range(40)}
    for name in sorted(names):
        cache.store({name: {"width_px": int(name)}})
    assert {name: row["width_px"] for name, row in cache.load(names).items()} == {
        name: int(name) for name in names
    }
    assert len(list(tmp_path.glob("*/*.parquet"))) == 1
    assert set(cache.load(names)) == names


def test_scores_of_a_killed_run_are_not_measured_again(runs):
    """Killed for good as soon as the first part has its name."""
    program = """
        import os, signal, sys
        from pathlib import Path
        from curation_pictures import CURATE
        from pdm.curation.curate import curate, stage
        stage.IMAGES_PER_PART = 2
        def watch(event, arguments):
            if event == "os.rename" and str(arguments[1]).startswith(sys.argv[2]):
                watch.count += not str(arguments[1]).endswith("new")
                if watch.count == 2:
                    os.kill(os.getpid(), signal.SIGKILL)
        watch.count = 0
        sys.addaudithook(watch)
        curate(CURATE, raw=Path(sys.argv[1]), decisions=Path("decisions"), cache=Path(sys.argv[2]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), runs.raw, runs.cache],
        cwd=runs.folder,
        env=os.environ
        | {
            "RAY_ADDRESS": ray.get_runtime_context().gcs_address,
            "PYTHONPATH": f"{Path(__file__).parents[1]}:{Path(__file__).parents[3]}",
        },
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert not (runs.folder / "decisions").exists()
    expected = digests(runs.curate(cached=False))
    assert digests(runs.curate()) == expected
    assert runs.new_and_unchanged() == (len(OLD) - 2, 2)
