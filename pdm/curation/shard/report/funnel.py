"""The report's funnel from the rows of the sources to the crops; all rows add up."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pdm.curation.shard.report.reasons import DUPLICATES
from pdm.data.decoding.kinds import REASONS as FOREIGN

# Steps of the funnel, and the reasons that drop images in each. All other reasons are of fetching.
STEPS = (
    (
        "intact, readable files",
        {"unreadable", "hdr", "animated", "damaged", "decode_timeout", "decoder_crash", *FOREIGN},
    ),
    ("large enough, right shape", {"too_many_pixels", "border", "too_small", "wrong_shape"}),
    ("people, faces whole", {"no_people", "crowd", "face_cut"}),
    ("well exposed", {"transparent", "dark", "light", "low_information"}),
    ("photographs in colour", {"grey", "drawing"}),
    ("wanted content", {"other_content"}),
    ("sharp at full size", {"blocky", "blurry", "enlarged"}),
    ("unique", set(DUPLICATES)),
)
# Steps of rules that are off by default; shown if they dropped something.
OPTIONAL = ("people, faces whole", "wanted content")
NOT_WRITTEN = "not_written"


@dataclass(frozen=True, slots=True)
class Step:
    """The number of images after a step, and the losses of the step."""

    title: str
    left: int
    share: float  # of all rows
    lost: list[tuple[str, int]]  # the most frequent first


def funnel(outcomes: Mapping[tuple[str, str], int], num_failures: int) -> list[Step]:
    """The steps from the rows of the sources to the crops in the shards.

    Faces and content are wanted only if the params say so: without losses their steps are left out.

    Args:
        outcomes: Number of rows for each outcome and reason.
        num_failures: Kept images that could not be written after all.
    """
    reasons: Counter[str] = Counter()
    for (outcome, reason), count in outcomes.items():
        if outcome != "kept":
            reasons[reason] += count
    total = sum(outcomes.values())
    later = {reason for _, names in STEPS for reason in names}
    steps = [Step("URLs and files", total, 1.0, [])]
    for title, names in (("fetched", set(reasons) - later), *STEPS):
        step = _next_step(steps[-1], title, Counter({r: reasons[r] for r in names}), total)
        if step.lost or title not in OPTIONAL:
            steps.append(step)
    steps.append(
        _next_step(steps[-1], "crops in the shards", Counter({NOT_WRITTEN: num_failures}), total)
    )
    return steps


def _next_step(before: Step, title: str, lost: Counter[str], total: int) -> Step:
    left = before.left - lost.total()
    listed = sorted(((r, n) for r, n in lost.items() if n), key=lambda item: (-item[1], item[0]))
    return Step(title, left, left / max(total, 1), listed)
