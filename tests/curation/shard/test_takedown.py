"""Pictures that are taken back: what still holds them is named, models that saw them above all."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pdm import cli
from pdm.curation.scrape.entries import key_of
from pdm.curation.scrape.removal.removal_list import read_removals
from pdm.curation.scrape.removal.takedown import (
    find_look_alikes,
    find_traces,
    report_removed,
    warn_of_traces,
)
from pdm.data import decisions as tables
from pdm.data.shards import listing
from pdm.data.shards.listing import Listed
from pdm.errors import BadInput, QualityGate

URLS = [f"http://pictures.test/{number}" for number in range(20)]
PICTURES = [
    Listed(key_of(url), hashlib.sha256(url.encode()).hexdigest(), "val" if at % 4 else "train")
    for at, url in enumerate(URLS)
]


def model(folder, pictures):
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    if pictures is not None:
        listing.write(folder, pictures)
    return folder


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Two models, one of which has seen only the later half, and the shards of that half."""
    monkeypatch.chdir(tmp_path)
    model(tmp_path / "models/autoencoder", PICTURES)
    model(tmp_path / "models/diffusion", PICTURES[10:])
    (tmp_path / "data/shards").mkdir(parents=True)
    listing.write(tmp_path / "data/shards", PICTURES[10:])
    return tmp_path


def removing(folder, *lines):
    (folder / "removed.txt").write_text("\n".join(lines))
    return str(folder / "removed.txt")


def find_removed(project, *lines):
    """{folder: {split: keys}} of all folders with a list."""
    folders = sorted(path.parent for path in project.glob("**/pictures.txt"))
    result = find_traces(read_removals(removing(project, *lines)), folders, project / "data/raw")
    return {str(one.folder.relative_to(project)): one.keys for one in result}


@pytest.mark.parametrize("form", ["url", "key", "sha256", "shouted"])
def test_a_picture_is_found_by_url_key_or_content(project, form):
    line = {
        "url": URLS[0],
        "key": PICTURES[0].key,
        "sha256": PICTURES[0].sha256,
        "shouted": "HTTP://Pictures.test:80/0#top",
    }[form]
    assert find_removed(project, line) == {"models/autoencoder": {"train": [PICTURES[0].key]}}


def test_held_out_pictures_are_distinguished_from_training_pictures(project):
    expected = {"train": [PICTURES[12].key], "val": [PICTURES[11].key]}
    assert find_removed(project, URLS[11], URLS[12]) == {
        "models/autoencoder": expected,
        "models/diffusion": expected,
        "data/shards": expected,
    }


def test_a_url_in_another_spelling_is_found_in_the_raw_rows(project):
    (project / "data/raw").mkdir()
    rows = [{"key": PICTURES[0].key, "reason": "removed"}, {"key": "b" * 20, "reason": None}]
    pq.write_table(pa.Table.from_pylist(rows), project / "data/raw/00000.parquet")
    assert set(find_removed(project, "http://elsewhere.test/")) == {"models/autoencoder"}


def test_the_command_names_every_folder_in_a_line_and_ends_with_three(project, capsys, caplog):
    arguments = ["data", "removed", "--removals", removing(project, PICTURES[0].key, URLS[12])]
    assert cli.main(arguments) == 3
    one, other = (PICTURES[at].key for at in (0, 12))
    first, second = sorted((one, other))
    assert [line.message for line in caplog.records] == [
        f"data/shards: train split contains 1 removed image ({other})",
        f"models/autoencoder: trained on 2 removed images ({first}, {second})",
        f"models/diffusion: trained on 1 removed image ({other})",
    ]
    assert "error: 3 of 3 folders contain removed images" in capsys.readouterr().err


def test_a_model_that_a_run_keeps_is_searched_too(project, caplog):
    kept = model(project / "runs/diffusion/0123456789abcdef/model", PICTURES)
    path = removing(project, URLS[0])
    assert cli.main(["data", "removed", "--removals", path]) == 3
    assert f"{kept.relative_to(project)}: trained on 1 removed image" in caplog.text


def test_where_nothing_is_left_the_command_says_so(project, capsys):
    assert cli.main(["data", "removed", "--removals", removing(project, "0" * 64)]) == 0
    assert "no removed image in data/shards, models/autoencoder" in capsys.readouterr().out


def test_a_copy_of_a_model_can_be_checked_and_one_without_a_list_is_reported(
    project, tmp_path, caplog
):
    removals = removing(project, URLS[0])
    copy = model(tmp_path / "elsewhere", PICTURES)
    with pytest.raises(QualityGate, match="1 of 1 folders"):
        report_removed(removals, [copy], raw=tmp_path, decisions=tmp_path)
    old = model(tmp_path / "old", None)
    with pytest.raises(QualityGate, match=r"0 of 1 folders .* 1 have no list"):
        report_removed(removals, [old], raw=tmp_path, decisions=tmp_path)
    assert f"{old}: has no pictures.txt" in caplog.text


def test_a_model_from_mlflow_is_found_by_the_digest_of_its_list(project, tmp_path, caplog):
    removals = removing(project, URLS[0])
    fetched = model(tmp_path / "fetched", None)
    summary = fetched / listing.SUMMARY_NAME
    summary.write_text(json.dumps(listing.summarise(project / "models/autoencoder")))
    with pytest.raises(QualityGate, match="1 of 1 folders"):
        report_removed(removals, [fetched], raw=tmp_path, decisions=tmp_path)
    assert f"{fetched}: trained on 1 removed image" in caplog.text
    summary.write_text('{"sha256": "0123"}')
    with pytest.raises(QualityGate, match=r"0 of 1 folders .* 1 have no list"):
        report_removed(removals, [fetched], raw=tmp_path, decisions=tmp_path)
    assert "no pictures.txt here has the digest 0123 that it names; `dvc checkout`" in caplog.text


def test_models_are_named_without_an_error(project, caplog):
    removals = read_removals(removing(project, URLS[0]))
    warn_of_traces(removals, models=project / "models", raw=project, decisions=project)
    (line,) = caplog.messages
    assert "models/autoencoder: trained on 1 removed image" in line


def test_pictures_like_a_removed_one_are_named_before_they_take_its_place(project, caplog):
    clusters = ["one", "one", "one", "two", None]
    rows = [
        {"key": PICTURES[at].key, "url": URLS[at], "sha256": PICTURES[at].sha256, "cluster": name}
        for at, name in enumerate(clusters)
    ]
    (project / "data/decisions").mkdir()
    tables.save(project / "data/decisions", rows)
    removals = removing(project, URLS[0], PICTURES[2].sha256, URLS[4])
    assert cli.main(["data", "removed", "--removals", removals]) == 3
    (line,) = [line for line in caplog.messages if "stays" in line]
    assert line.startswith(
        f"{URLS[1]} ({PICTURES[1].key}) stays, but is a near duplicate of the removed "
    )


@pytest.mark.parametrize("content", [None, b"no parquet"])
def test_unreadable_decisions_are_ignored(tmp_path, content):
    if content:
        (tmp_path / "decisions.parquet").write_bytes(content)
    assert find_look_alikes(read_removals(removing(tmp_path, URLS[0])), tmp_path) == []


def test_a_long_list_of_finds_is_cut(project, caplog):
    with pytest.raises(QualityGate):
        report_removed(
            removing(project, *URLS),
            [project / "models/autoencoder"],
            raw=project,
            decisions=project,
        )
    assert caplog.text.count(", ...") == 1  # of 15 held out


def test_without_removals_or_folders_there_is_nothing_to_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"scrape\.removed"):
        report_removed(None, [], raw=tmp_path, decisions=tmp_path)
    with pytest.raises(BadInput, match="no shards, latents or models yet"):
        report_removed(removing(tmp_path, URLS[0]), [], raw=tmp_path, decisions=tmp_path)


@pytest.mark.parametrize("content", ["key sha256", "a b c d\n", "a b\n", "é b c\n"])
def test_a_damaged_list_is_bad_input(tmp_path, content):
    (tmp_path / listing.FILE_NAME).write_text(content)
    with pytest.raises(BadInput, match=r"pictures\.txt"):
        list(listing.read(tmp_path))


def test_a_list_is_sorted_and_read_as_it_was_written(tmp_path):
    listing.write(tmp_path, reversed(PICTURES))
    assert list(listing.read(tmp_path)) == sorted(PICTURES)


def test_a_list_of_removals_in_utf_16_is_read(tmp_path):
    (tmp_path / "removed.txt").write_bytes(f"{URLS[0]}\r\n".encode("utf-16"))
    assert read_removals(str(tmp_path / "removed.txt")).matches("", URLS[0], None)
