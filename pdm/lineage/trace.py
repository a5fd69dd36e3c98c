"""Finds the origin of a sample in this project's folders, or in MLflow.

Models are identified by the sha256 of their weights, training pictures by key and by the sha256 of
the fetched file. So neither path nor name of the sample matters.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pdm.data import decisions, provenance
from pdm.data.shards import listing
from pdm.data.shards.listing import Listed
from pdm.errors import BadInput, PyramidError
from pdm.files import sha256_of
from pdm.model_record import record_of
from pdm.scratch_folders import scratch_folder
from pdm.tracking.records.record import Record

STAGES = ("autoencoder", "diffusion")
NOT_KNOWN = "not known"
NOT_FACTS = ("file", "pixels_sha256")  # of a sample's row; the rest is as in its file
WANTED = ("url", "licence", "author")
FACTS = ("shards_sha256", "latents_sha256", "images_seen", "parameters")
TAGS = {
    "commit": "mlflow.source.git.commit",
    "uncommitted changes": "pyramid.git.dirty",
    "dvc.lock": "pyramid.dvc_lock.sha256",
}


@dataclass(frozen=True, slots=True)
class Places:
    """Folders to search."""

    models: Path
    samples: Path
    runs: Path
    decisions: Path
    shards: Path = Path("data/shards")


@dataclass(slots=True)
class Model:
    """One of the two networks, a guide or an enlarger, as far as it is known."""

    stage: str
    sha256: str
    place: str = ""  # folder, or its place in MLflow
    facts: dict[str, Any] = field(default_factory=dict)
    run: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    pictures: list[Listed] = field(default_factory=list)
    listing: dict[str, str | int] = field(default_factory=dict)  # digest and length of that list


@dataclass(frozen=True, slots=True)
class Source:
    """A training picture, with the statements of its source when it was fetched."""

    key: str
    sha256: str
    url: str
    licence: str
    author: str


@dataclass(frozen=True, slots=True)
class Lineage:
    """Everything known about a sample."""

    picture: str
    pixels_sha256: str
    seed: int
    drawn: dict[str, Any]  # sampler and its settings
    models: list[Model]
    sources: list[Source]

    def licences(self) -> list[tuple[str, int]]:
        """Count training pictures by licence, most frequent first."""
        counts = Counter(source.licence for source in self.sources)
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def trace(picture: Path, places: Places) -> Lineage:
    """Trace a sample back to its origin.

    Raises:
        BadInput: The file is not a picture, or has no provenance and is not among the samples.
    """
    facts, digest = provenance.read(picture)
    facts = facts or _by_pixels(digest, places.samples)
    try:
        if facts is None:
            raise KeyError("facts")
        drawn = dict(facts)
        seed = int(drawn.pop("seed"))
        models = [_model(stage, str(drawn.pop(f"{stage}_sha256")), places) for stage in STAGES]
        guide = drawn.get("guide") or {}
        if "sha256" in guide:  # another model; its training pictures also influence the sample
            models.append(_model("guide", str(guide["sha256"]), places, Path(str(guide["path"]))))
        models += _models_that_enlarged(drawn, places)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{picture} carries no provenance of `pyramid sample`, and its pixels are not in "
            f"{places.samples / 'samples.json'}; name the folder that it was drawn into with "
            "--samples"
        ) from error
    return Lineage(str(picture), digest, seed, drawn, models, _sources(models, places.decisions))


def _models_that_enlarged(drawn: dict[str, Any], places: Places) -> list[Model]:
    """Describe the models of `sample.enlarger` or `--enlarger`, if there are any."""
    enlarger = drawn.get("enlarger")
    if not enlarger:
        return []
    folder = Path(str(enlarger["path"]))
    digests = {
        "enlarger's autoencoder": (drawn.pop("enlarger_autoencoder_sha256"), "autoencoder"),
        "enlarger": (enlarger["sha256"], "diffusion"),
    }
    return [
        _model(name, str(digest), places, folder / stage)
        for name, (digest, stage) in digests.items()
    ]


def _by_pixels(digest: str, samples: Path) -> dict[str, Any] | None:
    """Find the facts of the sample with these pixels."""
    try:
        record = json.loads((samples / "samples.json").read_text(encoding="utf-8"))
        listed = record.pop("samples")
        [found] = [one for one in listed if one.get("pixels_sha256") == digest]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    record.pop("full_size", None)
    own = {name: value for name, value in found.items() if name not in NOT_FACTS}
    return {**own, **record, **own}


def _model(stage: str, digest: str, places: Places, *elsewhere: Path) -> Model:
    """Describe the weights from the project's folders and others, then from MLflow."""
    model = Model(stage, digest)
    for folder in (*sorted(places.models.glob("*")), *elsewhere):
        file = folder / "model.safetensors"
        if file.is_file() and sha256_of(file) == digest:
            _look_into(model, file.parent, str(file.parent), places)
            break
    for record in _records(places.runs):
        if record.tags.get("pyramid.model.sha256") == digest:
            model.run = _run(record.sent.run_id, record.tags)
            model.params = record.params
    if not model.place or not model.run:
        _ask_mlflow(model, places)
    return model


def _look_into(model: Model, folder: Path, place: str, places: Places) -> None:
    model.place = place
    record = record_of(folder)
    model.facts = {name: record[name] for name in FACTS if name in record}
    model.listing = listing.read_summary(folder)
    listed = listing.find(folder, [places.shards, *sorted(places.models.glob("*"))])
    if listed is not None:
        model.pictures = [one for one in listing.read(listed) if one.split == "train"]


def _ask_mlflow(model: Model, places: Places) -> None:
    """Add what MLflow knows. Best effort: without MLflow it stays unknown."""
    # Only here: its import takes seconds, and most lineages are complete without it.
    from pdm.tracking.reader import Reader

    try:
        reader = Reader()
        run = reader.by_model(model.sha256)
        if run is None:
            return
        model.run = model.run or _run(run.run_id, run.tags)
        model.params = model.params or run.params
        if not model.place:
            with scratch_folder("lineage") as scratch:
                names = ("config.json", listing.SUMMARY_NAME, listing.FILE_NAME)
                files = [reader.download(run, f"model/{name}", scratch) for name in names]
                if files[0]:
                    _look_into(model, files[0].parent, f"MLflow run {run.run_id}", places)
    except PyramidError:
        return


def _records(runs: Path) -> Iterator[Record]:
    for path in sorted(runs.glob("*/*/tracking.json")):
        record = Record.load(path.parent)
        if record is not None:
            yield record


def _run(run_id: str, tags: dict[str, str]) -> dict[str, str]:
    found = {name: tags[tag] for name, tag in TAGS.items() if tag in tags}
    return ({"MLflow run": run_id} if run_id else {}) | found


def _sources(models: list[Model], folder: Path) -> list[Source]:
    """List every picture that a network was trained on, by key, with what is known about it now."""
    seen = {(one.key, one.sha256) for model in models for one in model.pictures}
    try:
        rows = {
            (row["key"], row["sha256"]): row
            for row in decisions.load_matching(folder, "key", {key for key, _ in seen})
        }
    except BadInput:  # no table here: the sample may come from another machine
        rows = {}
    return [
        Source(
            key,
            digest,
            *(rows.get((key, digest), {}).get(name) or NOT_KNOWN for name in WANTED),
        )
        for key, digest in sorted(seen)
    ]
