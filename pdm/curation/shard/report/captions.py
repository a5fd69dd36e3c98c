"""The numbers of the report's section on captions: how many pictures have one, and how long."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pdm.curation.shard.report.table import DecisionTable
from pdm.data.annotations.captions import captions_of
from pdm.data.decisions import Row

# Words of a caption, from the first number on. Text encoders read 77 word pieces or so, about 55
# words of English.
LENGTHS = (1, 5, 10, 20, 40, 56)


@dataclass(frozen=True, slots=True)
class CaptionFacts:
    """Captions of the kept pictures."""

    num_with: int  # pictures
    num_without: int
    num_several: int  # pictures with more than one
    num_captions: int
    num_different: int
    median_words: int
    longest_words: int
    lengths: list[tuple[str, int]]  # such as ("5 to 9", 120): captions by their number of words

    @property
    def share_with(self) -> float:
        """Share of the kept pictures that have a caption."""
        return self.num_with / (self.num_with + self.num_without)


def caption_facts(rows: Sequence[Row]) -> CaptionFacts | None:
    """Count the captions of some rows; None if no row has any."""
    by_picture = [captions_of(row) for row in rows]
    captions = [caption for each in by_picture for caption in each]
    if not captions:
        return None
    words = sorted(len(caption.split()) for caption in captions)
    return CaptionFacts(
        num_with=sum(bool(each) for each in by_picture),
        num_without=sum(not each for each in by_picture),
        num_several=sum(len(each) > 1 for each in by_picture),
        num_captions=len(captions),
        num_different=len(set(captions)),
        median_words=words[len(words) // 2],
        longest_words=words[-1],
        lengths=_by_length(words),
    )


def kept_captions(decisions: DecisionTable) -> list[Row]:
    """The captions of the kept rows; other columns are left out."""
    table = decisions.columns(("caption", "captions"), pa.array(decisions.kept))
    rows: list[Row] = table.to_pylist()
    return rows


def _by_length(words: Sequence[int]) -> list[tuple[str, int]]:
    ends = [*(start - 1 for start in LENGTHS[1:]), None]
    found = []
    for start, end in zip(LENGTHS, ends, strict=True):
        name = f"{start} to {end}" if end else f"{start} and more"
        count = sum(start <= number and (end is None or number <= end) for number in words)
        found.append((name, count))
    return found
