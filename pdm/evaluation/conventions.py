"""What `metrics.json` says of its scores: which pictures they are of, and how each is computed."""

from pdm.config.stages.evaluate import EvaluateConfig
from pdm.evaluation.distances.precision_recall import NUM_NEAREST
from pdm.evaluation.features.summary import Summaries
from pdm.evaluation.reconstruction import ms_ssim_weights
from pdm.evaluation.set_summaries import missing_networks


def conventions(
    config: EvaluateConfig, summaries: Summaries, size: tuple[int, int], num_other_sizes: int
) -> dict[str, str]:
    """Describe the conventions of the scores, for pictures of (height, width)."""
    height, width = size
    several = {
        "sizes": f"scores without a size are of {width}x{height}; by_size has those of all "
        f"{num_other_sizes + 1} sizes, each against real pictures of its own bucket, and their mean"
    }
    return {
        **{space.frechet_name: space.convention for space in summaries.val.spaces},
        **{
            f"frechet_{name.replace('-', '_')}": "none: its package was not installed"
            for name in missing_networks(config)
        },
        "picture_size": f"{width}x{height}",
        **(several if num_other_sizes else {}),
        "resize": "Lanczos, antialiased, from the shards to the size of the samples",
        "reference": "all val pictures; num_compared samples or train pictures against them",
        "swd": f"{config.num_projections} directions, {config.patches_per_image} patches of "
        "7x7 per picture and Laplacian level, normalised by the reference",
        "precision_recall": f"also density and coverage: {NUM_NEAREST} nearest neighbours (k); "
        "most published values have k = 3",
        "intervals": f"95 %, bootstrap over pictures, {config.num_replicates} replicates, centred "
        "on the score (shares of memorisation are not)",
        "reconstruction": "mean over val pictures; SSIM: Gaussian window 11, sigma 1.5; MS-SSIM: "
        f"{len(ms_ssim_weights(height, width))} scales; rfrechet: decoded against val, 8 bits "
        "each; kernel: decoded against the num_compared train pictures",
    }
