"""What the names of scores mean: which direction is better, and which names belong together.

A score is `measure/pair`, such as `frechet_random_conv/samples_vs_val`. The same measure with
`train_vs_val` is its floor: the score of real pictures, which no generator is expected to beat.
"""

import fnmatch
from collections.abc import Iterable, Mapping

SAMPLES, FLOOR = "samples_vs_val", "train_vs_val"
# What decides between runs: the kernel distance by a trained network, where there is one; its
# expectation does not depend on the number of pictures. Else the distance that needs no weights.
LEARNED_SCORE = f"kernel_efficientnet_lite?/{SAMPLES}"
RANDOM_SCORE = f"frechet_random_conv/{SAMPLES}"
INTERVALS = "intervals/"
# Of samples of several sizes: by_size/512x384/NAME of each, and by_size/mean/NAME.
BY_SIZE, MEAN_OF_SIZES = "by_size", "mean"
# Scores for which greater is better; for all others, smaller is.
GREATER = ("psnr", "ssim", "precision", "recall", "density", "coverage")
SHARES = ("precision", "recall", "coverage")  # from 0 to 1; density may exceed 1
NEITHER = ("expected", "median_distance", "deviation", "intervals", "counts")
JUDGED = (SAMPLES, "reconstruction", "memorisation", *GREATER)
# Shares of samples nearer to a training picture than held-out pictures are. A second score gives
# the share expected of new pictures.
NEW_PICTURES = {"share_of_copies": 0.0, "share_closer_than_median_val": 0.5}


def main_score(*runs: Iterable[str]) -> str:
    """The name of the score that decides between runs, of the names that each of them has."""
    names = sorted(set.intersection(*(set(names) for names in runs))) if runs else []
    return next(iter(fnmatch.filter(names, LEARNED_SCORE)), RANDOM_SCORE)


def direction(score: str) -> int:
    """Return -1 if smaller is better, 1 if greater is, and 0 for floors, counts and expected
    values."""
    words = score.replace("/", "_")
    if any(word in words for word in NEITHER):
        return 0
    if not any(word in words for word in JUDGED):
        return 0
    return 1 if any(word in words for word in GREATER) else -1


def is_share(score: str) -> bool:
    """Whether a score cannot be below 0 or above 1, such as by_size/512x384/recall_random_conv."""
    words = score.split("/")
    return any(word.startswith(tuple(f"{share}_" for share in SHARES)) for word in words)


def interval(scores: Mapping[str, float], name: str) -> tuple[float, float] | None:
    """Return the 95 % bootstrap interval of a score; None if it has none."""
    low, high = (scores.get(f"{INTERVALS}{name}/{end}") for end in ("low", "high"))
    return None if low is None or high is None else (low, high)


def floor(scores: Mapping[str, float], name: str) -> float | None:
    """Return the floor of a score, that of real pictures; None if it is not known."""
    if name.endswith(f"/{SAMPLES}"):
        return scores.get(name.replace(SAMPLES, FLOOR))
    stem, _, share = name.rpartition("/")
    return scores.get(f"{stem}/expected_{share}", NEW_PICTURES.get(share))
