"""`croissant.json`: the shards in MLCommons' Croissant 1.0, for dataset search and loaders.

Every tar is a file object with its sha256; the record sets describe where a sample's picture and
facts are in it. The context is copied from the specification. Two recommended properties are left
to the publisher of the data: a date and a citation.
"""

from collections import Counter
from typing import Any

from pdm.data.annotations.captions import FACT
from pdm.data.annotations.maps import EXTENSION as MAP
from pdm.data.annotations.maps import FACT as MAP_CLASSES
from pdm.data.decisions import Row
from pdm.data.shards.buckets import buckets_of, has_buckets
from pdm.data.shards.manifest import Manifest

FILE_NAME = "croissant.json"
MAX_LICENCES = 100
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataBiases": "cr:dataBiases",
    "dataCollection": "cr:dataCollection",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "personalSensitiveInformation": "cr:personalSensitiveInformation",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
# A sample's record is text: mlcroissant 1.1 supports no JSON paths in the files of a file set, and
# cannot join two file sets by key. So both sets have the key.
FACTS = (
    "JSON with key, split, url, final_url (after redirects), retrieved_at (UTC), source, caption, "
    "licence, author, captions if it has several, class_name if it has one, sha256 and num_bytes "
    "of the source file, original_width_px and original_height_px of the upright source, the "
    "crop's position in it, image_sha256, width_px and height_px of the crop."
)
LINES = "The captions, one per line; empty for an image without one."


def describe_shards(manifest: Manifest, rows: list[Row]) -> dict[str, Any]:
    """The metadata of a folder of shards; equal shards give equal metadata.

    Args:
        manifest: Of the shards.
        rows: The decisions on the images that are in them.
    """
    width, height = manifest.facts["width_px"], manifest.facts["height_px"]
    name, size = f"{width}x{height}", f"{width} x {height} pixels"
    each = f"each exactly {size}, "
    if has_buckets(manifest.facts):
        sizes = [bucket.name for bucket in buckets_of(manifest)]
        name, size = "of-many-aspect-ratios", f"{', '.join(sizes)} pixels"
        each = f"each of one of the sizes {', '.join(sizes)} pixels, "
    tars = [_file(shard) for shards in manifest.splits.values() for shard in shards]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": f"pictures-{name}",
        "description": f"Crops of {len(rows):,} images, {each}"
        "sRGB, upright, never enlarged, with source, licence and author of each.",
        "license": _licences(rows),
        "version": "1.0.0",
        "distribution": [*tars, *_members(manifest)],
        "recordSet": [
            _record_set("pictures", "image", "sc:ImageObject", f"{size}, sRGB."),
            _record_set("records", "facts", "sc:Text", FACTS),
            *(
                [_record_set("captions", "text", "sc:Text", LINES)]
                if FACT in manifest.facts
                else []
            ),
        ],
    }


def _licences(rows: list[Row]) -> list[str]:
    """The most frequent licences, as stated; each picture's own is in its record."""
    counts = Counter(str(row["licence"] or "not stated") for row in rows)
    return sorted(sorted(counts, key=lambda name: (-counts[name], name))[:MAX_LICENCES])


def _file(shard: Any) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": shard.name,
        "name": shard.name,
        "contentUrl": shard.name,
        "contentSize": f"{shard.num_bytes} B",
        "encodingFormat": "application/x-tar",
        "sha256": shard.sha256,
    }


def _members(manifest: Manifest) -> list[dict[str, Any]]:
    """The pictures and the records of all tars."""
    extension = manifest.facts["extension"]
    kinds = [("pictures-files", MEDIA_TYPES[extension], extension)]
    kinds.append(("records-files", "application/json", "json"))
    if FACT in manifest.facts:
        kinds.append(("captions-files", "text/plain", "txt"))
    if MAP_CLASSES in manifest.facts:
        kinds.append(("maps-files", "image/png", MAP))
    held = [{"@id": shard.name} for shards in manifest.splits.values() for shard in shards]
    return [
        {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "containedIn": held,
            "encodingFormat": media_type,
            "includes": f"*.{ending}",
        }
        for name, media_type, ending in kinds
    ]


def _record_set(name: str, field: str, kind: str, text: str) -> dict[str, Any]:
    """A record set of one kind of tar member: its key and its content."""
    files = {"fileSet": {"@id": f"{name}-files"}}
    named = {"extract": {"fileProperty": "filename"}, "transform": {"regex": r"^([^.]+)\..*$"}}
    content = {"extract": {"fileProperty": "content"}}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": "One for each sample.",
        "key": {"@id": f"{name}/key"},
        "field": [
            _field(name, "key", "sc:Text", "Name of the sample.", files | named),
            _field(name, field, kind, text, files | content),
        ],
    }


def _field(
    record_set: str, name: str, kind: str, text: str, source: dict[str, Any]
) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": text,
        "dataType": kind,
        "source": source,
    }
