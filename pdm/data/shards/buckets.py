"""The buckets of a folder of shards: pictures of one size, in shards of their own.

`facts["buckets"]` of the manifest lists them, also those without a picture; it is absent if all
pictures have one size. `facts["width_px"]` and `["height_px"]` are then the main size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pdm.config.buckets import Size, bucket_name
from pdm.data.shards.manifest import Manifest, Shard
from pdm.errors import BadInput, QualityGate

FACT = "buckets"


@dataclass(frozen=True, slots=True)
class Bucket:
    """Pictures of one size.

    Args:
        size: Width and height in pixels.
        num_samples: By split.
        shards: Names of the files of all splits; None where all shards are of this bucket.
    """

    size: Size
    num_samples: Mapping[str, int]
    shards: frozenset[str] | None

    @property
    def name(self) -> str:
        """Such as 512x384, width x height."""
        return bucket_name(self.size)

    def select(self, shards: Sequence[Shard]) -> list[Shard]:
        """Return those of the shards that hold this bucket's pictures."""
        return [one for one in shards if self.shards is None or one.name in self.shards]


def describe(size: Size, shards: Mapping[str, Sequence[Shard]]) -> dict[str, Any]:
    """Describe a bucket for the manifest, from its shards by split."""
    return {
        "width_px": size[0],
        "height_px": size[1],
        "num_samples": {
            split: sum(shard.num_samples for shard in files) for split, files in shards.items()
        },
        "shards": [shard.name for files in shards.values() for shard in files],
    }


def check_main_size(facts: Mapping[str, Any]) -> None:
    """Check that the main size has a picture in every split: training the diffusion model needs it.

    Args:
        facts: Of a manifest with buckets.

    Raises:
        QualityGate: A split has none.
    """
    main = (facts["width_px"], facts["height_px"])
    for entry in facts[FACT]:
        if (entry["width_px"], entry["height_px"]) != main:
            continue
        for split, count in entry["num_samples"].items():
            if not count:
                raise QualityGate(
                    f"the split '{split}' has no image of the main size, {bucket_name(main)}, "
                    "which previews and scores are drawn at: take another bucket as "
                    "curate.width_px and height_px, keep more images, or raise "
                    "shard.val_share. Nothing was written."
                )


def has_buckets(facts: Mapping[str, Any]) -> bool:
    """Whether the pictures have several sizes."""
    return FACT in facts


def buckets_of(manifest: Manifest) -> list[Bucket]:
    """List the buckets of a folder, in the order of its params; one if there is one size.

    Raises:
        BadInput: The manifest describes them in a way that cannot be read.
    """
    facts = manifest.facts
    if not has_buckets(facts):
        counts = {split: manifest.num_samples(split) for split in manifest.splits}
        size = int(facts.get("width_px", 0)), int(facts.get("height_px", 0))
        return [Bucket(size, counts, None)]
    try:
        return [
            Bucket(
                (int(entry["width_px"]), int(entry["height_px"])),
                {split: int(count) for split, count in entry["num_samples"].items()},
                frozenset(map(str, entry["shards"])),
            )
            for entry in facts[FACT]
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"manifest.json cannot be read: its buckets are damaged ({error!r}); write the folder "
            "again"
        ) from error


def filled_buckets(manifest: Manifest, split: str) -> list[Bucket]:
    """List the buckets that have a picture in a split."""
    return [bucket for bucket in buckets_of(manifest) if bucket.num_samples.get(split)]


def ranges_of(buckets: Sequence[Bucket], split: str) -> list[range]:
    """The numbers of each bucket's pictures in a split that is read bucket by bucket."""
    ranges, start = [], 0
    for bucket in buckets:
        ranges.append(range(start, start + bucket.num_samples[split]))
        start = ranges[-1].stop
    return ranges


def bucket_of_all(ranges: Sequence[range], indices: Sequence[int]) -> int:
    """The place of the bucket that some pictures are of; the first for none.

    Raises:
        ValueError: They are of several buckets.
    """
    if len(ranges) == 1 or not len(indices):
        return 0
    bucket = next(place for place, numbers in enumerate(ranges) if indices[0] in numbers)
    if any(index not in ranges[bucket] for index in indices):
        raise ValueError(f"images {list(indices)} are of several buckets; read each by itself")
    return bucket


def facts_of_shard(manifest: Manifest, name: str) -> Mapping[str, Any]:
    """The manifest's facts; those of its bucket, such as `width_px`, are of one shard's pictures.

    Raises:
        BadInput: The shard is in no bucket.
    """
    if not has_buckets(manifest.facts):
        return manifest.facts
    for bucket, entry in zip(buckets_of(manifest), manifest.facts[FACT], strict=True):
        if bucket.shards is None or name in bucket.shards:
            return {**manifest.facts, **entry}
    raise BadInput(f"manifest.json lists the shard {name} in no bucket; write the folder again")


def facts_of_model(latents: Manifest) -> dict[str, Any]:
    """What a model's folder says of the buckets of its latents: sizes, shapes of the levels, and
    how many were trained on; nothing if all pictures have one size."""
    if not has_buckets(latents.facts):
        return {}
    names = ("width_px", "height_px", "level_shapes", "num_samples")
    entries = [{name: entry[name] for name in names} for entry in latents.facts[FACT]]
    return {FACT: [entry for entry in entries if any(entry["num_samples"].values())]}
