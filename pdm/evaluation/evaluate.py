"""The stage `evaluate`: samples and reconstructions against held-out pictures.

Every distance stands beside its floor. Both are taken from the same reference (all held-out
pictures, `val`) with the same number of pictures on the other side: `samples_vs_val` for as many
samples as there are training pictures to set against them, `train_vs_val` for that many training
pictures. Most distances grow as sets shrink, so that only two values with equal counts say anything
about each other; a perfect generator scores the floor, not zero.

`intervals` in the metrics are 95 % bootstrap intervals, `replicates.json` among the plots what they
were taken from: two runs on the same data are compared by the differences of their replicates.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pdm.config.evaluate import EvaluateConfig
from pdm.data.shards.images import ImageShards
from pdm.data.shards.manifest import digest
from pdm.errors import BadInput, QualityGate
from pdm.evaluation.distances.precision_recall import NUM_NEAREST
from pdm.evaluation.features.picture_sets import PictureSet
from pdm.evaluation.features.pretrained import Network
from pdm.evaluation.features.random_conv import RandomConvFeatures
from pdm.evaluation.features.reference import kept_summary
from pdm.evaluation.features.summary import summarise
from pdm.evaluation.features.views import View, views_of
from pdm.evaluation.memorisation import MEASURES, memorisation, memorised_by
from pdm.evaluation.metrics import with_intervals, write_metrics, write_replicates
from pdm.evaluation.reconstruction import ms_ssim_weights, score_reconstructions
from pdm.evaluation.report import charts, pages, tables
from pdm.evaluation.report.pairs import write_pairs
from pdm.evaluation.samples_folder import SampleSet, read_samples, warn_of_chosen_samples
from pdm.evaluation.scores import Scores, against_reference, of_memorisation, of_reconstructions
from pdm.files import whole_folder
from pdm.models.codec import Autoencoder
from pdm.registry import load_autoencoder

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
    cache: Path,
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
        cache: What was found out about real pictures, kept by the digest of their manifest.

    Returns:
        The numbers of `metrics` under flat names, such as `swd/level_16x32/samples_vs_val`.

    Raises:
        BadInput: An input is missing, damaged, or holds what does not belong there.
        QualityGate: Too few pictures, or scores that are not finite.
    """
    model = load_autoencoder(autoencoder)
    drawn, val, train = picture_sets(samples, shards, model)
    warn_of_chosen_samples(drawn)
    _warn_of_few(len(val), config)
    networks = [Network(each) for each in config.features]
    extractor = RandomConvFeatures(config.num_features, config.seed)
    views = views_of(config, drawn.size, extractor, networks)
    count = min(len(drawn), len(train))
    ours = summarise(drawn, some(len(drawn), count, config.seed), extractor, views, config)
    held_out, seen = (
        kept_summary(real, chosen, extractor, views, config, digest(shards), cache)
        for real, chosen in (
            (val, np.arange(len(val))),
            (train, some(len(train), count, config.seed)),
        )
    )
    copies = memorisation(ours, held_out, seen)
    prefixes = score_reconstructions(model, val, views)
    found = (
        against_reference(ours, held_out, config)
        | against_reference(seen, held_out, config)
        | of_reconstructions(prefixes, held_out, config)
        | of_memorisation(copies, config)
        | _counts(drawn, val, train, count)
    )
    scores = with_intervals(found)
    with whole_folder(plots) as folder:
        tables.write(folder, scores, ours, held_out, seen)
        charts.draw(folder, scores, ours, held_out, seen)
        pages.draw(folder, (drawn, val, train), copies, model, config.num_neighbours)
        write_pairs(
            folder / "memorisation.html", drawn, train, copies, scores, config.num_neighbours
        )
        write_replicates(folder, found.replicates, digest(shards), config)
    write_metrics(metrics, scores, _conventions(config, drawn, views))
    _say(scores, len(prefixes))
    return scores


def picture_sets(
    samples: Path, shards: Path, model: Autoencoder
) -> tuple[SampleSet, PictureSet, PictureSet]:
    """Samples, held-out and training pictures, all at the samples' size.

    Raises:
        BadInput: The samples cannot be read, or have a size that the autoencoder cannot take.
        QualityGate: A set is too small, or a picture is both held out and trained on.
    """
    drawn = read_samples(samples)
    height, width = drawn.size
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


def _counts(drawn: SampleSet, val: PictureSet, train: PictureSet, compared: int) -> Scores:
    """Pictures of each set, how many of the judged sets each distance is about, and what is odd
    about the samples."""
    sizes = {f"num_{each.name}": len(each) for each in (drawn, val, train)}
    counts = sizes | {
        "num_compared": compared,
        "num_repeated_samples": drawn.num_repeated,
        "num_missing_seeds": drawn.num_missing_seeds,
    }
    return Scores({f"counts/{name}": float(count) for name, count in counts.items()})


def _say(scores: Mapping[str, float], num_levels: int) -> None:
    frechet = (scores[f"frechet_random_conv/{pair}_vs_val"] for pair in ("samples", "train"))
    logger.info(
        "evaluate: Fréchet distance on random_conv features %.2f (real against real %.2f); "
        "reconstruction %.1f dB",
        *frechet,
        scores[f"reconstruction/psnr_db/levels_{num_levels}"],
    )
    if guilty := memorised_by(scores):
        logger.warning(
            "evaluate: the samples look memorised (%s): %.0f %% are copies of training pictures, "
            "%.0f %% lie closer to one than every held-out picture does; see memorisation.html "
            "among the plots",
            " and ".join(guilty),
            *(
                100 * max(scores[f"memorisation/{measure}/{share}"] for measure in MEASURES)
                for share in ("share_of_copies", "share_closer_than_all_val")
            ),
        )


def _warn_of_few(num_val: int, config: EvaluateConfig) -> None:
    if num_val <= config.num_features:
        logger.warning(
            "only %d held-out pictures for %d features: the Fréchet distance is biased upwards; "
            "compare it with its floor (train_vs_val) and with nothing else",
            num_val,
            config.num_features,
        )


def _conventions(config: EvaluateConfig, drawn: PictureSet, views: list[View]) -> dict[str, str]:
    """What a number must be quoted with."""
    height, width = drawn.size
    return {
        **{view.frechet: view.convention for view in views},
        "picture_size": f"{width}x{height}",
        "resize": "Lanczos, antialiased, from the shards to the size of the samples",
        "reference": "all val pictures; num_compared samples or train pictures against them",
        "swd": f"{config.num_projections} directions, {config.patches_per_image} patches of "
        "7x7 per picture and Laplacian level, normalised by the reference",
        "precision_recall": f"also density and coverage: {NUM_NEAREST} nearest neighbours (k); "
        "most published values have k = 3",
        "intervals": f"95 %, bootstrap over pictures, {config.num_replicates} replicates, centred "
        "on the score (shares of memorisation are not)",
        "reconstruction": "mean over val pictures; SSIM: Gaussian window 11, sigma 1.5; MS-SSIM: "
        f"{len(ms_ssim_weights(height, width))} scales; rfrechet: decoded against val, 8 bits each",
    }
