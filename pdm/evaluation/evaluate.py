"""The stage `evaluate`: samples and reconstructions against held-out pictures.

Every distance stands beside its floor. Both are taken from the same reference (all held-out
pictures, `val`) with the same number of pictures on the other side: `samples_vs_val` for as many
samples as there are training pictures to set against them, `train_vs_val` for that many training
pictures. Most distances grow as sets shrink, so that only two values with equal counts say anything
about each other; a perfect generator scores the floor, not zero.
"""

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pdm.baselines.autoencoders import load_autoencoder
from pdm.config.evaluate import EvaluateConfig
from pdm.data.images import ImageShards
from pdm.errors import BadInput, QualityGate
from pdm.evaluation import charts, features, pages, tables
from pdm.evaluation.distances import distances
from pdm.evaluation.features import RandomConvFeatures
from pdm.evaluation.memorisation import memorisation
from pdm.evaluation.pictures import PictureSet, read_samples
from pdm.evaluation.reconstruction import score_reconstructions
from pdm.evaluation.summary import Summary, summarise
from pdm.files import whole_folder, write_json
from pdm.models.codec import Autoencoder

logger = logging.getLogger(__name__)

MIN_PICTURES = 2  # of each set: no spread can be told from one


def evaluate(
    config: EvaluateConfig,
    *,
    samples: Path,
    shards: Path,
    autoencoder: Path,
    metrics: Path,
    plots: Path,
) -> dict[str, float]:
    """Score, and write `metrics` (JSON) and the folder `plots`.

    Held-out and training pictures are reduced, antialiased, to the size of the samples.

    Args:
        config: Sizes and seeds of the scores.
        samples: Written by the stage `sample`.
        shards: Written by the stage `shard`.
        autoencoder: A model folder.
        metrics: Scores, counts and the conventions behind them, nested by name.
        plots: Pictures and tables, replaced.

    Returns:
        The numbers of `metrics` under flat names, such as `swd/level_16x32/samples_vs_val`.

    Raises:
        BadInput: An input is missing, damaged, or holds what does not belong there.
        QualityGate: Too few pictures, or scores that are not finite.
    """
    model = load_autoencoder(autoencoder)
    drawn, val, train = picture_sets(samples, shards, model)
    extractor = RandomConvFeatures(config.num_features, config.seed)
    count = min(len(drawn), len(train))
    ours = summarise(drawn, some(len(drawn), count, config.seed), extractor, config)
    held_out = summarise(val, np.arange(len(val)), extractor, config)
    seen = summarise(train, some(len(train), count, config.seed), extractor, config)
    _warn_of_few(len(val), config)
    copies = memorisation(ours, held_out, seen)
    prefixes = score_reconstructions(model, val, config.batch_size)
    scores = _rounded(
        {
            **_with_floor(ours, held_out, seen, config),
            **_by_prefix(prefixes),
            **{f"memorisation/{name}": value for name, value in copies.scores().items()},
            "counts/num_samples": len(drawn),
            "counts/num_val": len(val),
            "counts/num_train": len(train),
            "counts/num_compared": count,
        }
    )
    with whole_folder(plots) as folder:
        tables.write(folder, scores, ours, held_out, seen)
        charts.draw(folder, scores, ours, held_out, seen)
        pages.draw(folder, (drawn, val, train), copies, model, config.num_neighbours)
    write_json(metrics, {**_nested(scores), "conventions": _conventions(config, drawn)})
    _say(scores, len(prefixes))
    return scores


def picture_sets(
    samples: Path, shards: Path, model: Autoencoder
) -> tuple[PictureSet, PictureSet, PictureSet]:
    """Samples, held-out and training pictures, all at the samples' size.

    Raises:
        BadInput: The samples cannot be read, or have a size that the autoencoder cannot take.
        QualityGate: A set is too small, or a picture is both held out and trained on.
    """
    drawn = read_samples(samples)
    height, width = drawn.load(0).shape[:2]
    try:
        model.level_shapes(height, width)
    except ValueError as error:
        raise BadInput(
            f"{samples} holds pictures of {width}x{height}, which this autoencoder cannot "
            f"reconstruct ({error}); sample again with the same autoencoder"
        ) from error
    val, train = (_split(shards, split, height, width) for split in ("val", "train"))
    for pictures in (drawn, val, train):
        if len(pictures) < MIN_PICTURES:
            raise QualityGate(
                f"{len(pictures)} {pictures.name} pictures are too few to be scored; "
                f"at least {MIN_PICTURES} are needed"
            )
    if shared := sorted(set(val.keys) & set(train.keys)):
        raise QualityGate(
            f"{len(shared)} pictures of {shards} are both held out and trained on, {shared[0]} "
            "first; write the shards again"
        )
    return drawn, val, train


def some(total: int, count: int, seed: int) -> NDArray[np.int64]:
    """`count` different numbers below `total`, rising; all of them if `count` is `total`."""
    return np.sort(np.random.default_rng([seed]).permutation(total)[:count])


def _split(shards: Path, split: str, height: int, width: int) -> PictureSet:
    images = ImageShards(shards, split)
    return PictureSet(
        name=split, keys=images.keys, load=lambda index: images.load(index, height, width)
    )


def _with_floor(
    ours: Summary, held_out: Summary, seen: Summary, config: EvaluateConfig
) -> dict[str, float]:
    """Each distance of the samples and, beside it, of as many training pictures."""
    return {
        f"{name}/{judged.name}_vs_{held_out.name}": value
        for judged in (ours, seen)
        for name, value in distances(judged, held_out, config).items()
    }


def _by_prefix(prefixes: list[dict[str, float]]) -> dict[str, float]:
    """`reconstruction/psnr_db/levels_3` is of pictures decoded from the three coarsest levels."""
    return {
        f"reconstruction/{name}/levels_{count}": value
        for count, measures in enumerate(prefixes, start=1)
        for name, value in measures.items()
    }


def _say(scores: Mapping[str, float], num_levels: int) -> None:
    frechet = (scores[f"frechet_random_conv/{pair}_vs_val"] for pair in ("samples", "train"))
    logger.info(
        "evaluate: Fréchet distance on random_conv features %.2f (real against real %.2f); "
        "reconstruction %.1f dB",
        *frechet,
        scores[f"reconstruction/psnr_db/levels_{num_levels}"],
    )


def _warn_of_few(num_val: int, config: EvaluateConfig) -> None:
    if num_val <= config.num_features:
        logger.warning(
            "only %d held-out pictures for %d features: the Fréchet distance is biased upwards; "
            "compare it with its floor (train_vs_val) and with nothing else",
            num_val,
            config.num_features,
        )


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    """Six digits, more than any of the scores is good for; so that a repeat on another machine,
    which may sum in another order, gives the same file."""
    bad = sorted(name for name, value in scores.items() if not math.isfinite(value))
    if bad:
        raise QualityGate(f"{', '.join(bad)} came out as no finite number; look at the samples")
    return {name: float(f"{value:.6g}") for name, value in scores.items()}


def _nested(scores: Mapping[str, float]) -> dict[str, Any]:
    """`{"a/b": 1}` as `{"a": {"b": 1}}`."""
    tree: dict[str, Any] = {}
    for name, value in scores.items():
        *parents, leaf = name.split("/")
        here = tree
        for parent in parents:
            here = here.setdefault(parent, {})
        here[leaf] = int(value) if parents == ["counts"] else value
    return tree


def _conventions(config: EvaluateConfig, drawn: PictureSet) -> dict[str, str]:
    """What a number must be quoted with."""
    height, width = drawn.load(0).shape[:2]
    return {
        "features": f"{features.NAME}, {config.num_features} values, seed {config.seed}",
        "picture_size": f"{width}x{height}",
        "resize": "Lanczos, antialiased, from the shards to the size of the samples",
        "reference": "all val pictures; num_compared samples or train pictures against them",
        "swd": f"{config.num_projections} directions, {config.patches_per_image} patches of "
        "7x7 per picture and Laplacian level, normalised by the reference",
        "reconstruction": "mean over val pictures; SSIM: Gaussian window 11, sigma 1.5",
    }
