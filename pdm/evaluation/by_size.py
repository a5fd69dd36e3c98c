"""Scores of samples of several sizes: of each against real pictures of its own bucket.

Most distances are of pictures of one size, so no distance covers a whole folder of several. The
mean over the sizes stands for it, each size counted once.
"""

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.errors import BadInput, PyramidError
from pdm.evaluation.features.summary import Summaries
from pdm.evaluation.inputs.pictures import PictureSets
from pdm.evaluation.memorisation.measure import measure_memorisation
from pdm.evaluation.scores import Scores, distance_scores, memorisation_scores
from pdm.scores.names import BY_SIZE, MEAN_OF_SIZES

logger = logging.getLogger(__name__)

Size = tuple[int, int]  # (H, W)


def score_sizes(
    config: EvaluateConfig,
    sizes: Sequence[Size | None],
    read: Callable[[Size | None], PictureSets],
    summarise: Callable[[PictureSets], Summaries],
    reconstruct: Callable[[PictureSets, Summaries], Scores],
) -> Iterator[tuple[Size, Scores]]:
    """Score sizes one after another, each by distances, memorisation and reconstructions.

    A size with too few pictures is left out, and so are the reconstructions of one that is too
    small, with a warning that says why.
    """
    for size in sizes:
        assert size is not None
        try:
            sets = read(size)
        except PyramidError as error:
            logger.warning("evaluate: no scores of %dx%d: %s", size[1], size[0], error)
            continue
        found = summarise(sets)
        yield (
            size,
            distance_scores(found.samples, found.val, config)
            | distance_scores(found.train, found.val, config)
            | memorisation_scores(measure_memorisation(found), config)
            | _reconstructed(sets, found, reconstruct)
            | Scores({f"counts/num_{each.name}": float(len(each)) for each in sets}),
        )


def _reconstructed(
    sets: PictureSets,
    summaries: Summaries,
    reconstruct: Callable[[PictureSets, Summaries], Scores],
) -> Scores:
    try:
        return reconstruct(sets, summaries)
    except BadInput as error:
        height, width = sets.samples.size
        logger.warning("evaluate: no reconstruction scores of %dx%d: %s", width, height, error)
        return Scores({})


def by_size(main: Scores, main_size: Size | None, others: Iterator[tuple[Size, Scores]]) -> Scores:
    """All scores with their size in their name, such as `by_size/512x384/NAME`, and the means.

    A mean is over the sizes that were scored, of the scores that all of them have; those of other
    levels or crops than the main size's are left out.
    """
    assert main_size is not None
    scored = [(main_size, main), *others]
    found = Scores({})
    for (height, width), scores in scored:
        found |= _renamed(scores, f"{BY_SIZE}/{width}x{height}")
    common = set.intersection(*(set(scores.values) for _, scores in scored))
    means = {
        name: float(np.mean([scores.values[name] for _, scores in scored]))
        for name in main.values
        if name in common and not name.startswith("counts/")
    }
    return found | _renamed(Scores(means), f"{BY_SIZE}/{MEAN_OF_SIZES}")


def _renamed(scores: Scores, prefix: str) -> Scores:
    return Scores(
        {f"{prefix}/{name}": value for name, value in scores.values.items()},
        {f"{prefix}/{name}": value for name, value in scores.replicates.items()},
    )
