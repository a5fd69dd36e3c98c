"""Captions from lists and folders, through decisions and shards, to the report and the card."""

import csv
import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from curation_pictures import CURATE, SHARD, jpeg, key_of, scene, write_raw
from guard_settings import settings

from pdm.config.stages.scrape import FolderSource, UrlListSource
from pdm.curation.curate import curate
from pdm.curation.scrape import scrape
from pdm.curation.scrape.sources.folders import entries_of_folder
from pdm.curation.scrape.sources.url_lists.entries import entries_of_list
from pdm.curation.scrape.text import MAX_CAPTIONS
from pdm.curation.shard import shard
from pdm.data.decisions import load
from pdm.data.shards import manifest, tars
from pdm.data.verification.verify import verify
from pdm.errors import BadInput, QualityGate

URLS = ["http://a.example/1.jpg", "http://a.example/2.jpg", "http://a.example/3.jpg"]
SEVERAL = [["a boat", "a red boat"], None, ["a dune"]]


def listed(path, **columns):
    return entries_of_list(UrlListSource(kind="urls", path=str(path), **columns))


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string())])
def test_a_parquet_column_may_have_a_list_of_captions_for_each_picture(tmp_path, kind):
    table = {"url": pa.array(URLS), "text": pa.array(SEVERAL, kind)}
    pq.write_table(pa.table(table), tmp_path / "list.parquet")
    found = listed(tmp_path / "list.parquet", caption_column="text")
    assert [entry.captions for entry in found] == [("a boat", "a red boat"), (), ("a dune",)]


def test_a_csv_cell_may_have_a_json_list_of_captions(tmp_path):
    cells = [json.dumps(SEVERAL[0]), "[1] a numbered image", '["not closed']
    with (tmp_path / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["url", "text"], *zip(URLS, cells, strict=True)])
    found = listed(tmp_path / "list.csv", caption_column="text")
    assert [entry.captions for entry in found] == [tuple(SEVERAL[0]), (cells[1],), (cells[2],)]


def test_a_column_that_is_missing_or_has_no_text_is_named(tmp_path):
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"url": URLS, "text": [[1], [2], [3]]}), path)
    with pytest.raises(
        BadInput, match=r"'caption'; its columns are 'url', 'text'; set caption_col"
    ):
        listed(path, caption_column="caption")
    with pytest.raises(BadInput, match=r"column 'text' has the type list.*not text"):
        listed(path, caption_column="text")
    with pytest.raises(ValueError, match=r"caption_column: expected null with a \.txt list"):
        UrlListSource(kind="urls", path="list.txt", caption_column="caption")


def test_captions_that_are_empty_repeated_or_too_many_are_left_out_and_counted(tmp_path, caplog):
    captions = [["a", "", "a\0", "b"], [str(number) for number in range(MAX_CAPTIONS + 9)], ["c"]]
    pq.write_table(pa.table({"url": URLS, "text": captions}), tmp_path / "list.parquet")
    with caplog.at_level(logging.INFO):
        found = listed(tmp_path / "list.parquet", caption_column="text")
    assert [len(entry.captions) for entry in found] == [2, MAX_CAPTIONS, 1]
    assert "captions of 2 rows cut or cleaned" in caplog.text
    assert "3 of 3 rows with a caption" in caplog.text


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures, of which two have a text file of their name."""
    folder = tmp_path / "pictures"
    (folder / "sea").mkdir(parents=True)
    for name in ("dune", "sea/boat", "sea/plain"):
        (folder / f"{name}.jpg").write_bytes(jpeg(scene(len(name))))
    (folder / "dune.txt").write_text("a dune\r\n\n  the same dune at noon \n", encoding="utf-8")
    (folder / "sea/boat.txt").write_text("ein Boot auf See", encoding="utf-8")
    (folder / "notes.txt").write_text("of no image")
    return folder


def test_the_lines_of_a_text_file_beside_a_picture_are_its_captions(pictures, caplog):
    source = FolderSource(kind="folder", path=str(pictures))
    with caplog.at_level(logging.INFO):
        found = {entry.url.removeprefix("pictures/"): entry for entry in entries_of_folder(source)}
    assert {name: entry.captions for name, entry in found.items()} == {
        "dune.jpg": ("a dune", "the same dune at noon"),
        "notes.txt": (),
        "sea/boat.jpg": ("ein Boot auf See",),
        "sea/plain.jpg": (),
    }
    assert found["notes.txt"].outcome.reason == "not_image"
    assert "2 of 3 files with a caption" in caplog.text


def test_a_text_file_that_is_no_text_costs_its_picture_the_captions_only(pictures, caplog):
    (pictures / "dune.txt").write_bytes(b"\x1f\x8b" + bytes(20))
    source = FolderSource(kind="folder", path=str(pictures))
    entries = {entry.url.removeprefix("pictures/"): entry for entry in entries_of_folder(source)}
    assert entries["dune.jpg"].captions == ()
    assert entries["dune.jpg"].outcome.status == "ok"
    assert "1 caption file not in UTF-8" in caplog.text


def test_captions_of_a_folder_arrive_in_the_raw_rows(pictures, tmp_path):
    config = settings(FolderSource(kind="folder", path=str(pictures)), num_shards=1)
    scrape(config, raw=tmp_path / "raw")
    rows = pq.read_table(tmp_path / "raw" / "00000.parquet").to_pylist()
    found = {row["url"].removeprefix("pictures/"): row for row in rows}
    assert found["dune.jpg"]["caption"] == "a dune"
    assert found["dune.jpg"]["captions"] == ["a dune", "the same dune at noon"]
    assert found["sea/boat.jpg"]["captions"] is None
    (pictures / "dune.txt").write_text("a dune")
    scrape(config, raw=tmp_path / "raw")
    assert "captions" not in pq.read_schema(tmp_path / "raw" / "00000.parquet").names


@pytest.fixture(scope="module")
def work(tmp_path_factory, ray_cluster):
    """Shards of eight pictures: number 0 has two captions, number 1 none."""
    folder = tmp_path_factory.mktemp("captions")
    write_raw(folder / "raw", {f"scene-{number}": jpeg(scene(number)) for number in range(8)})
    for path in (folder / "raw").glob("*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            row["captions"] = ["a <b>boat</b>", "two"] if row["key"] == key_of("scene-0") else None
            row["caption"] = "a <b>boat</b>" if row["captions"] else row["caption"]
            row["caption"] = None if row["key"] == key_of("scene-1") else row["caption"]
        table = pa.Table.from_pylist(rows)
        place = table.schema.get_field_index("captions")
        table = table.set_column(place, "captions", table["captions"].cast(pa.list_(pa.string())))
        pq.write_table(table, path)
    curate(CURATE, raw=folder / "raw", decisions=folder / "decisions")
    names = {name: folder / name for name in ("raw", "decisions", "shards")}
    shard(SHARD, **names, report=folder / "report.html")
    return folder


def samples(work):
    for tar in sorted((work / "shards").glob("*.tar")):
        yield from webdataset.WebDataset(str(tar), shardshuffle=False).decode("rgb8")


def test_decisions_keep_all_captions(work):
    by_key = {row["key"]: row for row in load(work / "decisions")}
    assert by_key[key_of("scene-0")]["captions"] == ["a <b>boat</b>", "two"]
    assert by_key[key_of("scene-2")]["captions"] is None


def test_plain_webdataset_reads_the_captions_of_every_sample(work):
    found = {sample["__key__"]: sample for sample in samples(work)}
    assert len(found) == 8
    assert found[key_of("scene-0")]["txt"] == "a <b>boat</b>\ntwo\n"
    assert found[key_of("scene-0")]["json"]["captions"] == ["a <b>boat</b>", "two"]
    assert found[key_of("scene-1")]["txt"] == ""
    assert found[key_of("scene-1")]["json"]["caption"] is None
    assert "captions" not in found[key_of("scene-2")]["json"]
    assert manifest.load(work / "shards").facts["captioned"] == 7


def test_the_report_and_the_card_count_captions_and_escape_them(work):
    text = (work / "report.html").read_text(encoding="utf-8")
    assert '<h2 id="captions">Captions <small>87.5 % of the kept images have one' in text
    assert "a &lt;b&gt;boat&lt;/b&gt;" in text
    card = (work / "shards" / "README.md").read_text(encoding="utf-8")
    assert "7 of 8 images (87.5%) have a caption,\n1 of them several" in card
    assert "text-to-image" in card
    assert "`key.txt` (the captions, one per line)" in card
    croissant = json.loads((work / "shards" / "croissant.json").read_text())
    assert [one["name"] for one in croissant["recordSet"]] == ["pictures", "records", "captions"]


def test_verification_finds_captions_that_differ_from_the_record(work, tmp_path, caplog):
    assert "verified 8 images" in verify([work / "shards"])
    folder = tmp_path / "shards"
    folder.mkdir()
    for path in (work / "shards").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tar = next(folder.glob("train-*.tar"))
    parts = tars.read_members(tar)
    name = next(name for name, content in parts.items() if name.endswith(".txt") and content)
    whole = tar.read_bytes()
    assert whole.count(parts[name]) == 1
    tar.write_bytes(whole.replace(parts[name], parts[name].swapcase()))
    with caplog.at_level(logging.ERROR), pytest.raises(QualityGate):
        verify([folder])
    assert "its captions are not those of its record" in caplog.text


def test_data_without_captions_have_no_text_files_and_no_section(tmp_path, ray_cluster):
    pictures = {f"scene-{number}": jpeg(scene(number)) for number in range(8)}
    write_raw(tmp_path / "raw", pictures, caption=None)
    curate(CURATE, raw=tmp_path / "raw", decisions=tmp_path / "decisions")
    names = {name: tmp_path / name for name in ("raw", "decisions", "shards")}
    shard(SHARD, **names, report=tmp_path / "report.html")
    assert all(set(s) & {"txt", "json"} == {"json"} for s in samples(tmp_path))
    assert "captioned" not in manifest.load(tmp_path / "shards").facts
    for path in (tmp_path / "report.html", tmp_path / "shards" / "README.md"):
        assert "Captions" not in path.read_text(encoding="utf-8")
