"""Other people's tools read the shards: Hugging Face, mlcroissant, img2dataset's environment."""

import hashlib
import io
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import webdataset
import yaml
from PIL import Image

from pdm.curation.shard import croissant
from pdm.curation.shard.card import _size_category, data_card
from pdm.curation.shard.card_sources import MAX_LISTED
from pdm.data.shards import manifest, tars
from pdm.files import sha256_of, write_json, write_text

ROOT = Path(__file__).parents[3]
WIDTH, HEIGHT = 64, 32
# The first six have no caption: a reader that guesses types from a few samples must not guess
# that captions are always null.
SPLITS = {"train-000000": range(7), "train-000001": range(7, 9), "val-000000": range(9, 11)}


def picture(number):
    pixels = np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def facts(number, split):
    return {
        "key": f"{number:020x}",
        "split": split,
        "url": f"https://example.org/{number}.jpg",
        "final_url": None,
        "retrieved_at": None,
        "source": "urls.csv",
        "caption": f"caption <b>|{number}" if number > 5 else None,
        "licence": "CC0-1.0" if number % 2 else None,
        "author": f"Author {number}",
        "sha256": f"{number:064x}",
        "num_bytes": 1000 + number,
        "width_px": WIDTH,
        "height_px": HEIGHT,
        "original_width_px": 4 * WIDTH,
        "original_height_px": 4 * HEIGHT,
        "crop": {"left_px": 0, "top_px": 0, "width_px": 4 * WIDTH, "height_px": 4 * HEIGHT},
        "image_sha256": hashlib.sha256(picture(number)).hexdigest(),
    }


EMPTY = manifest.Manifest(
    {"train": []}, {"width_px": 1, "height_px": 1, "extension": "jpg", "encoding": "jpeg"}
)
ALL = {
    facts(number, stem.split("-")[0])["key"]: facts(number, stem.split("-")[0])
    for stem, numbers in SPLITS.items()
    for number in numbers
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("card") / "shards"
    splits = {"train": [], "val": []}
    for stem, numbers in SPLITS.items():
        split = stem.split("-")[0]
        rows = [facts(number, split) for number in numbers]
        samples = [
            (row["key"], {"png": picture(int(row["key"], 16)), "json": json.dumps(row).encode()})
            for row in rows
        ]
        tars.write_tar(folder / f"{stem}.tar", samples)
        splits[split].append(manifest.Shard.of(folder / f"{stem}.tar", len(rows)))
    stated = {"width_px": WIDTH, "height_px": HEIGHT, "encoding": "png", "extension": "png"}
    listed = manifest.Manifest(splits, stated)
    listed.save(folder)
    write_text(folder / "README.md", data_card(listed, list(ALL.values())))
    write_json(folder / croissant.FILE_NAME, croissant.describe_shards(listed, list(ALL.values())))
    return folder


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Hugging Face's library, with its cache in a folder of its own and the network forbidden."""
    patch = pytest.MonkeyPatch()
    patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
    patch.setenv("HF_HUB_OFFLINE", "1")
    patch.setenv("HF_DATASETS_OFFLINE", "1")
    import datasets

    yield datasets
    patch.undo()


def assert_samples_match(found, split):
    """Samples as Hugging Face gives them: decoded pictures and records."""
    expected = {key: row for key, row in ALL.items() if row["split"] == split}
    read = {sample["__key__"]: sample for sample in found}
    assert read.keys() == expected.keys()
    for key, sample in read.items():
        assert sample["json"] == expected[key]
        assert np.array_equal(np.asarray(sample["png"]), pixels_of(key))


def pixels_of(key):
    return np.asarray(Image.open(io.BytesIO(picture(int(key, 16)))))


def test_plain_webdataset_reads_pixels_and_records(shards):
    for stem, numbers in SPLITS.items():
        plain = webdataset.WebDataset(str(shards / f"{stem}.tar"), shardshuffle=False)
        found = list(plain.decode("rgb8"))
        assert [sample["__key__"] for sample in found] == [f"{number:020x}" for number in numbers]
        for sample in found:
            assert sample["json"] == ALL[sample["__key__"]]
            assert np.array_equal(sample["png"], pixels_of(sample["__key__"]))


def test_hugging_face_reads_the_folder_by_its_card(hub, shards):
    found = hub.load_dataset(str(shards))
    assert set(found) == {"train", "validation"}
    assert_samples_match(found["train"], "train")
    assert_samples_match(found["validation"], "val")


def test_hugging_face_streams_the_folder(hub, shards):
    assert_samples_match(hub.load_dataset(str(shards), split="train", streaming=True), "train")


def test_hugging_faces_webdataset_builder_reads_the_tars(hub, shards):
    tars_of_val = [str(path) for path in sorted(shards.glob("val-*.tar"))]
    loaded = hub.load_dataset("webdataset", data_files=tars_of_val, split="train")
    assert_samples_match(loaded, "val")


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """MLCommons' library; it keeps what it unpacks by name, so it gets a cache of its own."""
    patch = pytest.MonkeyPatch()
    patch.setenv("CROISSANT_CACHE", str(tmp_path_factory.mktemp("croissant")))
    import mlcroissant

    yield mlcroissant
    patch.undo()


def test_the_croissant_file_is_valid_and_reads_every_sample(peer, shards):
    found = peer.Dataset(shards / croissant.FILE_NAME)
    assert found.metadata.issues.errors == set()
    pictures = {one["pictures/key"].decode(): one for one in found.records("pictures")}
    assert pictures.keys() == ALL.keys()
    for key, one in pictures.items():
        assert np.array_equal(np.asarray(one["pictures/image"]), pixels_of(key))
    read = {one["records/key"].decode(): one["records/facts"] for one in found.records("records")}
    assert {key: json.loads(text) for key, text in read.items()} == ALL


def test_the_croissant_file_names_every_shard_with_its_hash(shards):
    listed = json.loads((shards / croissant.FILE_NAME).read_text())["distribution"]
    found = {one["@id"]: one["sha256"] for one in listed if one["@type"] == "cr:FileObject"}
    assert found == {path.name: sha256_of(path) for path in shards.glob("*.tar")}


def test_img2datasets_own_environment_reads_the_shards(shards):
    """Its webdataset is years older than ours; its reader takes the provenance as a URL list."""
    python = ROOT / ".venv-scrape" / "bin" / "python"
    if not python.exists():
        pytest.skip("`make setup` has not installed img2dataset")
    program = f"""
        import hashlib, json, pathlib
        import pandas, webdataset
        from img2dataset.reader import Reader
        shards = ["{shards}/train-000000.tar", "{shards}/train-000001.tar"]
        found = list(webdataset.WebDataset(shards, shardshuffle=False))
        records = [json.loads(one["json"]) for one in found]
        hashes = [hashlib.sha256(one["png"]).hexdigest() for one in found]
        assert hashes == [record["image_sha256"] for record in records]
        table = pandas.DataFrame(records)
        table.to_parquet("{shards.parent}/list.parquet")
        pathlib.Path("{shards.parent}/feather").mkdir()
        reader = Reader("{shards.parent}/list.parquet", "parquet", "url", "caption", None, None,
                        ["licence"], 100, set(), "{shards.parent}/feather")
        assert len(reader.column_list) == 3
        assert [shard[0] for shard in reader] == [0]
        print(json.dumps(records))
    """
    done = subprocess.run(
        [str(python), "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"ALBUMENTATIONS_OFFLINE": "1", "NO_ALBUMENTATIONS_UPDATE": "1"},
    )
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    assert read == [row for row in ALL.values() if row["split"] == "train"]


def test_plain_reading_needs_no_webdataset():
    """A bare GPU machine has torch, numpy, pillow and safetensors."""
    program = (
        "import sys\nsys.modules['webdataset'] = sys.modules['pyarrow'] = None\n"
        "sys.modules['ray'] = sys.modules['pandas'] = None\n"
        "import pdm.data.shards.images, pdm.data.shards.latents, pdm.data.order\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_card_states_fields_authors_limits_and_the_way_out(shards):
    card = (shards / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["configs"][0]["data_files"][1] == {"split": "validation", "path": "val-*.tar"}
    for said in ("## Known limits", "## Opting out and taking down", "`scrape.removed`"):
        assert said in card
    assert "| not stated | 6 |" in card
    assert "| Author 3 | 1 |" in card
    assert set(ALL[f"{0:020x}"]) <= set(card.replace(",", " ").split())


def test_the_card_says_when_and_where_pictures_were_fetched_and_what_they_lack():
    stated = {"retrieved_at": "2026-11-21T10:00:00Z", "final_url": "https://u:p@cdn.test/x.jpg"}
    rows = [facts(number, "train") for number in range(4)]
    rows[0] |= stated
    rows[1] |= stated | {"retrieved_at": "2026-11-20T10:00:00Z", "url": "pictures/a.jpg"}
    rows[2] |= {"url": "pictures/a.jpg"}
    card = data_card(EMPTY, rows)
    assert "2 of 4 images were fetched over a network, between 2026-11-20T10:00:00Z and" in card
    assert "| cdn.test | 2 |\n| (files) | 1 |\n| example.org | 1 |\n" in card
    assert "| licence | 2 | 2 |\n| author | 4 | 0 |\n| caption | 0 | 4 |\n" in card
    assert "No image was fetched over a network." in data_card(EMPTY, [facts(1, "train")])


def test_card_and_croissant_of_very_many_authors_and_licences_stay_short():
    rows = [
        facts(1, "train") | {"author": f"Author {n}", "licence": f"licence {n}"}
        for n in range(5000)
    ]
    card = data_card(EMPTY, rows)
    others = f"{5000 - MAX_LISTED:,}"
    assert card.count(f"| {others} others | {others} |") == 2
    assert len(card) < 20_000
    assert len(json.dumps(croissant.describe_shards(EMPTY, rows))) < 20_000


@pytest.mark.parametrize(
    ("count", "name"),
    [
        *((0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K")),
        *((1_000_000, "1M<n<10M"), (10**9, "1B<n<10B"), (10**11, "1B<n<10B")),
    ],
)
def test_the_size_category_is_one_that_hugging_face_knows(count, name):
    assert _size_category(count) == name
