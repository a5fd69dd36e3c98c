"""The stage `shard`: writes the kept crops as shards, and the report on all decisions."""

from pdm.curation.shard.stage import shard

__all__ = ["shard"]
