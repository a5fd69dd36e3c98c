"""All scores of a run under flat names, such as `swd/level_16x32/samples_vs_val`, each with its
bootstrap replicates where resampling pictures says how far it may move."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pdm.config.evaluate import EvaluateConfig
from pdm.evaluation.distances import bootstrap
from pdm.evaluation.distances.by_name import Comparison, distances
from pdm.evaluation.distances.exact_moments import moments_of
from pdm.evaluation.distances.frechet import frechet_distance
from pdm.evaluation.distances.moments import Array
from pdm.evaluation.features.summary import Summary
from pdm.evaluation.memorisation import Memorisation
from pdm.evaluation.reconstruction import Decoded


@dataclass(frozen=True, slots=True)
class Scores:
    """Values by name, and for some of the names their replicates (B,)."""

    values: dict[str, float]
    replicates: dict[str, Array] = field(default_factory=dict)

    def __or__(self, other: "Scores") -> "Scores":
        return Scores(self.values | other.values, self.replicates | other.replicates)


def against_reference(judged: Summary, reference: Summary, config: EvaluateConfig) -> Scores:
    """Every distance of a set from the reference, such as `spectrum_db/samples_vs_val`."""
    pair = f"{judged.name}_vs_{reference.name}"
    comparison = Comparison(judged, reference)
    values = distances(comparison, config)
    drawn = bootstrap.of_distances(comparison, config)
    return Scores(
        {f"{name}/{pair}": value for name, value in values.items()},
        {
            f"{name}/{pair}": bootstrap.centred(replicates, values[name])
            for name, replicates in drawn.items()
        },
    )


def of_reconstructions(
    prefixes: Sequence[Decoded], pictures: Summary, config: EvaluateConfig
) -> Scores:
    """`reconstruction/psnr_db/levels_3` is of pictures decoded from the three coarsest levels.

    Args:
        prefixes: What is known of the decoded pictures, for each prefix of the levels.
        pictures: What was encoded.
        config: Sizes and seeds.
    """
    by_picture = {
        f"reconstruction/{name}/levels_{count}": values
        for count, decoded in enumerate(prefixes, start=1)
        for name, values in decoded.measures.items()
    }
    found = Scores(
        {name: float(values.mean()) for name, values in by_picture.items()},
        bootstrap.of_means(by_picture, config),
    )
    for count, decoded in enumerate(prefixes, start=1):
        for view in (view for view in pictures.views if view.is_whole):
            pair = decoded.vectors[view.name], pictures.vectors[view.name]
            moments = moments_of(pair[0]), pictures.moments[view.name]
            name = f"reconstruction/r{view.frechet}/levels_{count}"
            value = frechet_distance(*moments)
            replicates = bootstrap.of_pairs(pair, moments, config)
            found |= Scores({name: value}, {name: bootstrap.centred(replicates, value)})
    return found


def of_memorisation(copies: Memorisation, config: EvaluateConfig) -> Scores:
    """Shares of samples that are nearer to a training picture than held-out ones."""
    return Scores(
        {f"memorisation/{name}": value for name, value in copies.scores().items()},
        {
            f"memorisation/{measure}/{name}": replicates
            for measure, pair in copies.pairs().items()
            for name, replicates in bootstrap.of_shares(*pair, config).items()
        },
    )
