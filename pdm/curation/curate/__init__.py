"""The stage `curate`: keeps or drops every image, with a reason, and chooses its crop."""

from pdm.curation.curate.stage import curate

__all__ = ["curate"]
