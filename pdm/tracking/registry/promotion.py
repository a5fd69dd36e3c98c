"""Does a model take the champion's place? Only if it is better beyond chance and copies no more.

The rule, and nothing else: scored on the same version of the data, in the same way; the 95 %
interval of the difference in the main score leaves out zero on the right side; and of its samples
no greater share lies nearer to a training picture than every held-out picture does. (A share up to
the one that held-out pictures themselves would have is not copying, whatever the champion's.)
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pdm.scores.names import SAMPLES, main_score
from pdm.tracking.registry.replicates import Replicates, better, difference

SHARE, EXPECTED = "share_closer_than_all_val", "expected_share_closer_than_all_val"
NO_EFFECT = ("batch_size", "num_neighbours")  # settings of `evaluate` without effect on scores
PROMOTED, REFUSED = "promoted", "refused"


@dataclass(frozen=True, slots=True)
class Scored:
    """A scored model.

    Args:
        name: Name for messages.
        setting: Settings of `evaluate`, and size of the pictures.
        scores: Scores by name.
        replicates: Bootstrap replicates of the scores; None if there are none.
    """

    name: str
    setting: Mapping[str, str]
    scores: Mapping[str, float]
    replicates: Replicates | None


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a model is promoted, and why, in one sentence."""

    outcome: str
    reason: str


def decide(candidate: Scored, champion: Scored | None) -> Decision:
    """Decide whether the candidate replaces the champion."""
    if candidate.replicates is None or main_score(candidate.scores) not in candidate.scores:
        return Decision(REFUSED, "it has no score with bootstrap replicates; evaluate it again")
    if champion is None:
        return Decision(PROMOTED, "there was no champion before")
    fault = _not_alike(candidate, champion) or _no_better(candidate, champion)
    fault = fault or _copies_more(candidate, champion)
    if fault:
        return Decision(REFUSED, fault)
    return Decision(
        PROMOTED, f"it is better than {champion.name}: {_difference(candidate, champion)}"
    )


def _not_alike(candidate: Scored, champion: Scored) -> str:
    assert candidate.replicates is not None
    if champion.replicates is None:
        return f"it is not known how {champion.name} was scored; evaluate its models again"
    ours, theirs = candidate.replicates.data_sha256, champion.replicates.data_sha256
    if ours != theirs:
        return (
            f"{champion.name} was scored on another version of the data ({theirs[:12]}, this one "
            f"{ours[:12]}); evaluate the champion's models on this version, or move the alias by "
            "hand in MLflow"
        )
    if not candidate.replicates.comparable(champion.replicates):
        return f"{champion.name} was scored with another seed or number of replicates"
    names = sorted((candidate.setting.keys() | champion.setting.keys()) - set(NO_EFFECT))
    other = [name for name in names if candidate.setting.get(name) != champion.setting.get(name)]
    if other:
        return f"{champion.name} was scored in another way: {', '.join(other)} differ"
    scores = [main_score(each.scores) for each in (candidate, champion)]
    if scores[0] != scores[1]:
        mine, other_score = (score.removesuffix(f"/{SAMPLES}") for score in scores)
        return (
            f"{champion.name} was scored by {other_score}, it by {mine}; evaluate the champion's "
            "models again"
        )
    return ""


def _no_better(candidate: Scored, champion: Scored) -> str:
    assert candidate.replicates is not None
    assert champion.replicates is not None
    if better(candidate.replicates, champion.replicates, main_score(candidate.scores)):
        return ""
    return (
        f"it is not better than {champion.name} beyond chance: {_difference(candidate, champion)}"
    )


def _copies_more(candidate: Scored, champion: Scored) -> str:
    for name in sorted(candidate.scores):
        if not name.startswith("memorisation/") or not name.endswith(f"/{SHARE}"):
            continue
        ours, theirs = candidate.scores[name], champion.scores.get(name, 0.0)
        expected = candidate.scores.get(name.replace(SHARE, EXPECTED), 0.0)
        if ours > max(theirs, expected):
            return (
                f"more of its samples look like copies of training images ({name} {ours:.4g}) "
                f"than of {champion.name} ({theirs:.4g}) or of images never seen ({expected:.4g})"
            )
    return ""


def _difference(candidate: Scored, champion: Scored) -> str:
    assert candidate.replicates is not None
    assert champion.replicates is not None
    name = main_score(candidate.scores)
    ours, theirs = candidate.scores[name], champion.scores.get(name, float("nan"))
    interval = difference(candidate.replicates, champion.replicates, name)
    within = "unknown" if interval is None else f"[{interval[0]:.4g}, {interval[1]:.4g}]"
    return f"{name} {ours:.4g} against {theirs:.4g}, 95 % interval of the difference {within}"
