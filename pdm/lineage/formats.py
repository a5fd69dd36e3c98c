"""Formats a lineage as text or JSON."""

import dataclasses
import json
from collections.abc import Mapping

from pdm.data.printable import printable
from pdm.lineage.trace import NOT_KNOWN, Lineage, Model

SHOWN_DIGEST = 16


def as_json(found: Lineage) -> str:
    """Format everything as sorted JSON, with every training picture once."""
    record = dataclasses.asdict(found) | {"licences": dict(found.licences())}
    for model in record["models"]:
        model["num_pictures"] = len(model.pop("pictures"))
    return json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)


def as_text(found: Lineage, *, listed: bool) -> str:
    """Format a summary for the terminal; `listed` adds a line for each training picture."""
    lines = [
        f"image        {found.picture}",
        f"seed         {found.seed}",
        f"drawn        {_pairs(found.drawn)}",
    ]
    for model in found.models:
        lines += ["", *_model(model)]
    lines += ["", *_sources(found)]
    if listed:
        lines += ["", *(_source_line(found, place) for place in range(len(found.sources)))]
    return "\n".join(map(printable, lines))


def _model(model: Model) -> list[str]:
    lines = [
        f"{model.stage:<12} {model.place or NOT_KNOWN}  (weights {model.sha256[:SHOWN_DIGEST]})"
    ]
    if model.facts:
        lines.append(f"  made from  {_pairs(model.facts)}")
    if model.run:
        lines.append(f"  run        {_pairs(model.run)}")
    if model.params:
        lines.append(f"  settings   {len(model.params)}; --json shows them")
    return lines


def _sources(found: Lineage) -> list[str]:
    absent = [model for model in found.models if model.listing and not model.pictures]
    lines = [
        f"training images of {model.stage}: {model.listing.get('num_train', 0):,}; their list "
        f"(sha256 {_short(model.listing['sha256'])}) is not here; `dvc checkout` the commit of its "
        "run"
        for model in absent
    ]
    if not found.sources:
        return lines or [
            "training images: not known; no folder or run of these models has a pictures.txt"
        ]
    lines += [f"training images: {len(found.sources):,}, by the licence that their sources state"]
    lines += [f"  {count:>7,}  {licence}" for licence, count in found.licences()]
    missing = sum(source.url == NOT_KNOWN for source in found.sources)
    if missing:
        lines.append(
            f"  {missing:,} are not known here: data/decisions no longer lists them; "
            "`dvc checkout` the commit of the run"
        )
    return lines


def _source_line(found: Lineage, place: int) -> str:
    source = found.sources[place]
    return f"{source.key}  {source.licence}  {source.author}  {source.url}"


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(
        f"{name} {_short(value)}" for name, value in values.items() if value is not None
    )


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return f"({_pairs(value)})"
    text = str(value)
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:SHOWN_DIGEST] if is_digest else text
