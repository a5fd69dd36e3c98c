"""The six scores to look at first, each rated good, fair or poor.

The distance and precision and recall are by a trained network where there is one, or else by random
features.

They are defined only here. `pyramid scores`, the end of `pyramid run` and the page of `pyramid
compare` show them. Each is compared with its floor: for distances, precision and recall the score
of real pictures against real pictures, which for the last two is an upper bound.

    kernel distance      good up to 0.015 above the floor, fair up to 0.06
    other distances      good up to 2 times the floor, fair up to 5 times
    precision, recall    good from 0.8 of the floor, fair from 0.5
    reconstruction       good from 6 dB above the floor (half its error), fair from the floor, which
                         is 24.2 dB: LDM's first stage kl-f8 on ImageNet (Rombach et al.,
                         arXiv:2112.10752, table 8)
    copies               good with none, fair up to one sample in a hundred

The kernel distance has no bias, so its floor is about 0, and multiples of it mean nothing;
docs/decisions/judges.md shows what pictures look like at its limits. The factors 2 and 5 follow
visual impression: at twice the floor, samples are hard to tell from real pictures by these
features; at five times, the difference is obvious.
"""

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pdm.scores.names import LEARNED_SCORE, RANDOM_SCORE, SAMPLES, floor, interval

GOOD, FAIR, POOR = "good", "fair", "poor"
LDM_PSNR_DB = 24.2
Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Headline:
    """One of the six; of the first three distances a run shows one.

    Args:
        title: Readable name.
        find: Finds the score's name among those of a run; None if it has none.
        judge: Rates a value by its floor.
        advice: What to do if the score is not good.
        floor: Floor to use if no score gives one.
    """

    title: str
    find: Callable[[Scores], str | None]
    judge: Callable[[float, float], str]
    advice: str
    floor: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A headline score of one run."""

    title: str
    name: str
    value: float
    interval: tuple[float, float] | None
    floor: float | None
    word: str  # empty if no floor is known
    advice: str


def _named(*patterns: str) -> Callable[[Scores], str | None]:
    """Make a function that finds the first name that matches the first pattern with a match."""

    def find(scores: Scores) -> str | None:
        names = sorted(name for name in scores if "_infinite" not in name)
        fitting = (fnmatch.filter(names, pattern) for pattern in patterns)
        return next((found[0] for found in fitting if found), None)

    return find


def _unless(others: tuple[str, ...], name: str) -> Callable[[Scores], str | None]:
    """Finds a name where none fits the other patterns."""

    def find(scores: Scores) -> str | None:
        return None if _named(*others)(scores) else _named(name)(scores)

    return find


def _whole_reconstruction(scores: Scores) -> str | None:
    """Find the score of pictures decoded from all levels; a comparison calls it `all`."""
    if "reconstruction/psnr_db/all" in scores:
        return "reconstruction/psnr_db/all"
    start = "reconstruction/psnr_db/levels_"
    counts = [int(name.removeprefix(start)) for name in scores if name.startswith(start)]
    return f"{start}{max(counts)}" if counts else None


def _copies_by_either_measure(scores: Scores) -> str | None:
    """Choose the measure, features or pixels, that finds more copies, since each misses some."""
    names = sorted(fnmatch.filter(scores, "memorisation/*/share_of_copies"))
    return max(names, key=lambda name: scores[name], default=None)


def _distance(value: float, floor: float) -> str:
    return GOOD if value <= 2 * floor else FAIR if value <= 5 * floor else POOR


def _kernel(value: float, floor: float) -> str:
    return GOOD if value <= floor + 0.015 else FAIR if value <= floor + 0.06 else POOR


def _share(value: float, floor: float) -> str:
    return GOOD if value >= 0.8 * floor else FAIR if value >= 0.5 * floor else POOR


def _psnr(value: float, floor: float) -> str:
    return GOOD if value >= floor + 6 else FAIR if value >= floor else POOR


def _copies(value: float, floor: float) -> str:
    return GOOD if value <= floor else FAIR if value <= floor + 0.01 else POOR


FID = f"fid_*/{SAMPLES}"
FAR = (
    "the samples are far from real images: train the diffusion model longer "
    "(diffusion.training.total_images), or a larger one"
)

# In the order of fixing: a better diffusion model does not help a poor autoencoder.
HEADLINES = (
    Headline(
        "copies of training images",
        _copies_by_either_measure,
        _copies,
        "the samples copy training images (see plots/evaluation/memorisation.html): train on "
        "more images, or for fewer (diffusion.training.total_images)",
    ),
    Headline(
        "reconstruction, PSNR in dB",
        _whole_reconstruction,
        _psnr,
        "the autoencoder loses detail, which the diffusion model cannot restore: train it longer "
        "(autoencoder.training.total_images), or give its levels more channels",
        LDM_PSNR_DB,
    ),
    Headline("Fréchet distance of the samples (FID)", _named(FID), _distance, FAR),
    Headline(
        "kernel distance of the samples",
        _unless((FID,), LEARNED_SCORE),
        _kernel,
        FAR,
    ),
    Headline(
        "Fréchet distance of the samples",
        _unless((FID, LEARNED_SCORE), RANDOM_SCORE),
        _distance,
        FAR,
    ),
    Headline(
        "sliced Wasserstein distance",
        _named(f"swd/mean/{SAMPLES}"),
        _distance,
        "the samples lack the detail of real images: train the diffusion model longer "
        "(diffusion.training.total_images)",
    ),
    Headline(
        "precision: samples like real ones",
        _named(f"precision_efficientnet_lite?/{SAMPLES}", f"precision_random_conv/{SAMPLES}"),
        _share,
        "many samples look like no real image: train longer, or sample with guidance "
        "(sample.guidance_scale)",
    ),
    Headline(
        "recall: real ones like samples",
        _named(f"recall_efficientnet_lite?/{SAMPLES}", f"recall_random_conv/{SAMPLES}"),
        _share,
        "the samples miss kinds of real images: train longer, on more images, or with less "
        "guidance",
    ),
)
# In display order.
SHOWN = tuple(HEADLINES[place] for place in (2, 3, 4, 5, 6, 7, 1, 0))


def entries(scores: Scores) -> list[Entry]:
    """List the headline scores of a run, in display order."""
    found = [entry(headline, scores) for headline in SHOWN]
    return [one for one in found if one is not None]


def entry(headline: Headline, scores: Scores) -> Entry | None:
    """Find a headline score of one run; None if the run lacks it."""
    name = headline.find(scores)
    if name is None:
        return None
    reference = floor(scores, name) if headline.floor is None else headline.floor
    value = scores[name]
    return Entry(
        headline.title,
        name,
        value,
        interval(scores, name),
        reference,
        "" if reference is None else headline.judge(value, reference),
        headline.advice,
    )


def next_step(scores: Scores) -> str:
    """Return advice on the first headline score that is not good."""
    found = [entry(headline, scores) for headline in HEADLINES]
    for word in (POOR, FAIR):
        for one in found:
            if one is not None and one.word == word:
                return one.advice
    if not any(one is not None for one in found):
        return "none of the headline scores was measured: run `pyramid evaluate` again"
    return "all six scores are good: take a larger size (`pyramid preset` lists them)"
