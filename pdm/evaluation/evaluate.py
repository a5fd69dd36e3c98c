"""The stage `evaluate`: scores samples and reconstructions against held-out pictures.

Every distance comes with its floor. Both have the same reference (all held-out pictures, `val`) and
the same number of pictures on the other side: `samples_vs_val` is of samples, `train_vs_val` of as
many training pictures. Most distances grow as sets get smaller, so compare only values with equal
counts; a perfect generator scores the floor, not zero.

`intervals` in the metrics are 95 % bootstrap intervals. `replicates.json` in the plots has their
replicates: two runs on the same data are compared by differences of replicates.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.counts import counted
from pdm.data.shards import manifest
from pdm.data.shards.manifest import digest
from pdm.errors import BadInput
from pdm.evaluation.by_size import by_size, score_sizes
from pdm.evaluation.conventions import conventions
from pdm.evaluation.features.summary import Summaries
from pdm.evaluation.inputs.pictures import PictureSets, read_picture_sets, sizes_of_samples
from pdm.evaluation.inputs.sample_size import check_sample_size
from pdm.evaluation.inputs.samples_folder import listed_sizes, warn_of_chosen_samples
from pdm.evaluation.memorisation.measure import (
    MEASURES,
    Memorisation,
    has_copies,
    measure_memorisation,
    memorisation_evidence,
)
from pdm.evaluation.metrics import add_intervals, write_metrics, write_replicates
from pdm.evaluation.reconstruction import (
    PrefixMeasures,
    measure_reconstructions,
)
from pdm.evaluation.report import charts, image_grids, tables
from pdm.evaluation.report.memorisation_page import write_memorisation_page
from pdm.evaluation.scores import (
    Scores,
    distance_scores,
    memorisation_scores,
    reconstruction_scores,
)
from pdm.evaluation.set_summaries import load_networks, summarise_sets
from pdm.files import atomic_folder
from pdm.machine.device import choose_device, exact_convolutions, log_device
from pdm.model_record import record_of
from pdm.models.base_autoencoder import Autoencoder
from pdm.registry import load_autoencoder
from pdm.scores.names import SAMPLES, floor, main_score

logger = logging.getLogger(__name__)


@exact_convolutions()
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
    """Compute all scores, and write `metrics` (JSON) and the folder `plots`.

    Held-out and training pictures are reduced to the size of the samples, with antialiasing.

    Samples of several sizes (buckets) are scored size by size, against the real pictures of the
    same bucket: the scores without a size in their name, and the plots, are those of the main size;
    `by_size/512x384/...` are those of each, and `by_size/mean/...` is their mean.

    Args:
        config: Sizes and seeds of the scores.
        samples: Written by the stage `sample`.
        shards: Written by the stage `shard`.
        autoencoder: A model folder.
        metrics: File to write: scores, counts and conventions, nested by name.
        plots: Folder to write pictures and tables to; replaced if it exists.
        cache: Folder for summaries of real pictures, by the digest of their manifest.

    Returns:
        The numbers of `metrics` under flat names such as `swd/level_16x32/samples_vs_val`.

    Raises:
        BadInput: An input is missing or damaged, or has files that do not belong there; or a
            network would judge the autoencoder that it trained.
        QualityGate: There are too few pictures, or scores are not finite.
    """
    check_inputs(config, samples=samples, shards=shards, autoencoder=autoencoder)
    device = choose_device()
    log_device(device)
    model = load_autoencoder(autoencoder).to(device)
    main, *others = sizes_of_samples(samples, shards)

    def read(size: tuple[int, int] | None) -> PictureSets:
        return read_picture_sets(samples, shards, model, size)

    sets = read(main)
    warn_of_chosen_samples(sets.samples)
    _warn_of_few(len(sets.val), config)
    networks = load_networks(config, device)

    def summarise(found: PictureSets) -> Summaries:
        return summarise_sets(found, config, digest(shards), cache, device, networks)

    def reconstruct(found: PictureSets, summaries: Summaries) -> Scores:
        prefixes = measure_reconstructions(model, found.val, summaries.val.spaces)
        return reconstruction_scores(prefixes, summaries.val, summaries.train, config)

    measured = _measure(sets, summarise(sets), model)
    all_scores = _score(measured, config)
    if others:
        of_others = score_sizes(config, others, read, summarise, reconstruct)
        all_scores |= by_size(all_scores, main, of_others)
    scores = add_intervals(all_scores)
    with atomic_folder(plots) as folder:
        _write_plots(folder, measured, scores, config.num_neighbours)
        write_replicates(folder, all_scores.replicates, digest(shards), config)
    size = sets.samples.size
    write_metrics(metrics, scores, conventions(config, measured.summaries, size, len(others)))
    _log_results(scores, len(measured.prefixes))
    return scores


@dataclass(frozen=True, slots=True)
class _Measured:
    """What the scores and plots of one size are made of."""

    sets: PictureSets
    summaries: Summaries
    copies: Memorisation
    prefixes: list[PrefixMeasures]  # of reconstructions from the coarsest level, the two coarsest


def _measure(sets: PictureSets, summaries: Summaries, model: Autoencoder) -> _Measured:
    """Look for copies among the samples, and reconstruct the held-out pictures."""
    copies = measure_memorisation(summaries)
    prefixes = measure_reconstructions(model, sets.val, summaries.val.spaces)
    return _Measured(sets, summaries, copies, prefixes)


def _score(measured: _Measured, config: EvaluateConfig) -> Scores:
    """Compute all scores of one size."""
    samples, val, train = measured.summaries
    return (
        distance_scores(samples, val, config)
        | distance_scores(train, val, config)
        | reconstruction_scores(measured.prefixes, val, train, config)
        | memorisation_scores(measured.copies, config)
        | _counts(measured.sets, measured.summaries)
    )


def _write_plots(
    folder: Path, measured: _Measured, scores: Mapping[str, float], num_neighbours: int
) -> None:
    """Write tables, charts, grids of pictures and the page on memorisation."""
    sets, copies = measured.sets, measured.copies
    tables.write_tables(folder, scores, measured.summaries)
    charts.write_charts(folder, scores, measured.summaries)
    image_grids.write_image_grids(folder, sets, copies, measured.prefixes, num_neighbours)
    page = folder / "memorisation.html"
    write_memorisation_page(page, sets, copies, scores, num_neighbours)


def check_inputs(config: EvaluateConfig, *, samples: Path, shards: Path, autoencoder: Path) -> None:
    """Check, without reading images, what can be checked before the work and its tracking begin.

    Raises:
        BadInput, QualityGate: As `evaluate`.
    """
    _check_judges(config, autoencoder)
    manifest.load(shards)
    listed_sizes(samples)
    check_sample_size(samples, shards)


def _check_judges(config: EvaluateConfig, autoencoder: Path) -> None:
    """Refuse a network that has trained the autoencoder: it would find no fault with it."""
    trained_by = record_of(autoencoder).get("perceptual_network")
    for number, features in enumerate(config.features):
        if trained_by is not None and features.network_name == trained_by:
            raise BadInput(
                f"evaluate.features.{number}: {trained_by} has trained {autoencoder} "
                "(autoencoder.perceptual.network), so it must not judge it; name another network "
                "(`pyramid networks list`)"
            )


def _counts(sets: PictureSets, summaries: Summaries) -> Scores:
    """Count the pictures of each set, those compared by distances, and repeated or missing
    samples."""
    counts = {f"num_{pictures.name}": len(pictures) for pictures in sets} | {
        "num_compared": len(summaries.samples.compared),
        "num_repeated_samples": sets.samples.num_repeated,
        "num_missing_seeds": sets.samples.num_missing_seeds,
    }
    return Scores({f"counts/{name}": float(count) for name, count in counts.items()})


def _log_results(scores: Mapping[str, float], num_levels: int) -> None:
    """Scores come last, since a run's table shows the last line of each stage."""
    _warn_of_memorisation(scores)
    name = main_score(scores)
    logger.info(
        "evaluate: %s %.3g (floor %.3g); reconstruction %.1f dB",
        name.removesuffix(f"/{SAMPLES}"),
        scores[name],
        floor(scores, name),
        scores[f"reconstruction/psnr_db/levels_{num_levels}"],
    )


def _warn_of_memorisation(scores: Mapping[str, float]) -> None:
    evidence = memorisation_evidence(scores)
    if evidence and not has_copies(scores):
        logger.warning(
            "evaluate: the samples are closer to training images than held-out images are "
            "(%s), as blurred ones are, too; none is a copy; see memorisation.html in the plots",
            " and ".join(evidence),
        )
    elif evidence:
        logger.warning(
            "evaluate: the samples look memorised (%s): %.0f %% are copies of training images, "
            "%.0f %% are closer to one than every held-out image; see memorisation.html in the "
            "plots",
            " and ".join(evidence),
            *(
                100 * max(scores[f"memorisation/{measure}/{share}"] for measure in MEASURES)
                for share in ("share_of_copies", "share_closer_than_all_val")
            ),
        )


def _warn_of_few(num_val: int, config: EvaluateConfig) -> None:
    if num_val <= config.num_features:
        logger.warning(
            "evaluate: only %s for %d features: the Fréchet distance is biased "
            "upwards; compare it only with its floor (train_vs_val)",
            counted(num_val, "held-out image"),
            config.num_features,
        )
