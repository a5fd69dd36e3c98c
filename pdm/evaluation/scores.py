"""Scores of a run under flat names such as `swd/level_16x32/samples_vs_val`, and the bootstrap
replicates of some of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.evaluation.distances import bootstrap
from pdm.evaluation.distances.exact_moments import moments_of
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.kernel import kernel_distance
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.distances.set_pairs import SetPair, compute_distances
from pdm.evaluation.features.summary import Summary
from pdm.evaluation.memorisation.measure import Memorisation
from pdm.evaluation.reconstruction import PrefixMeasures


@dataclass(frozen=True, slots=True)
class Scores:
    """Values by name, and the replicates (B,) of some of them."""

    values: dict[str, float]
    replicates: dict[str, Array] = field(default_factory=dict)

    def __or__(self, other: "Scores") -> "Scores":
        return Scores(self.values | other.values, self.replicates | other.replicates)


def distance_scores(judged: Summary, reference: Summary, config: EvaluateConfig) -> Scores:
    """Compute all distances of a set from the reference, such as `spectrum_db/samples_vs_val`."""
    pair = SetPair(judged, reference)
    suffix = f"{judged.name}_vs_{reference.name}"
    values = compute_distances(pair, config)
    replicates = bootstrap.distance_replicates(pair, config)
    return Scores(
        {f"{name}/{suffix}": value for name, value in values.items()},
        {
            f"{name}/{suffix}": bootstrap.centre(each, values[name])
            for name, each in replicates.items()
        },
    )


def reconstruction_scores(
    prefixes: Sequence[PrefixMeasures], pictures: Summary, train: Summary, config: EvaluateConfig
) -> Scores:
    """Compute scores of reconstructions, such as `reconstruction/psnr_db/levels_3` for the three
    coarsest levels.

    Args:
        prefixes: Measures of the decoded pictures, for each prefix of the levels.
        pictures: The pictures that were encoded.
        train: Other pictures, from which the kernel distance is taken: from the encoded ones it
            would be biased, since each decoded picture has its like among them.
        config: Sizes and seeds.
    """
    by_picture = {
        f"reconstruction/{name}/levels_{count}": values
        for count, decoded in enumerate(prefixes, start=1)
        for name, values in decoded.measures.items()
    }
    scores = Scores(
        {name: float(values.mean()) for name, values in by_picture.items()},
        bootstrap.mean_replicates(by_picture, config),
    )
    for count, decoded in enumerate(prefixes, start=1):
        for space in (space for space in pictures.spaces if space.of_whole_pictures):
            vectors = decoded.vectors[space.name], pictures.vectors[space.name]
            moments = moments_of(vectors[0]), pictures.moments[space.name]
            name = f"reconstruction/r{space.frechet_name}/levels_{count}"
            value = frechet_distance(*moments)
            replicates = bootstrap.paired_replicates(vectors, moments, config)
            scores |= Scores({name: value}, {name: bootstrap.centre(replicates, value)})
            name = f"reconstruction/{space.kernel_name}/levels_{count}"
            others = vectors[0], train.vectors[space.name]
            value = kernel_distance(*others).value
            replicates = bootstrap.decoded_kernel_replicates(*others, config)
            scores |= Scores({name: value}, {name: bootstrap.centre(replicates, value)})
    return scores


def memorisation_scores(copies: Memorisation, config: EvaluateConfig) -> Scores:
    """Compute the shares of samples nearer to a training picture than held-out pictures are."""
    return Scores(
        {f"memorisation/{name}": value for name, value in copies.scores().items()},
        {
            f"memorisation/{measure}/{name}": replicates
            for measure, pair in copies.pairs().items()
            for name, replicates in bootstrap.share_replicates(*pair, config).items()
        },
    )
