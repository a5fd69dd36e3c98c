"""The page of the comparison of autoencoders."""

import statistics

from benchmarks.designs.results import Run, group_runs, mean_and_deviation, provenance
from benchmarks.shared.markdown import table_lines

LEVEL_NAMES = ("1x1", "to 2x2", "to 4x4", "all")  # of the pyramid of a 64x64 picture

Groups = dict[tuple[str, str], list[Run]]  # by length and design, as `group_runs` gives them


def mean_psnr(run: Run, prefix: int = -1) -> float:
    """PSNR of held-out pictures in dB, from a prefix of the levels; mean over the sources."""
    return statistics.mean(float(source[prefix]["psnr_db"]) for source in run["scores"].values())


def paired_with_best_baseline(runs: list[Run]) -> list[tuple[Run, Run]]:
    """The pyramid's run and that of the better baseline, by seed, each of its longest training.

    LDM's stages were trained again, with their own KL weight, for as many images as the time that
    the pyramid was trained for had held.
    """
    by_name = {
        name: {run["seed"]: run for run in _longest(runs, name)}
        for name in ("pyramid", "kl-f8", "kl-f16")
    }
    ours, *baselines = by_name.values()
    seeds = [seed for seed in ours if all(seed in one for one in baselines)]
    return [(ours[seed], max((one[seed] for one in baselines), key=mean_psnr)) for seed in seeds]


def _longest(runs: list[Run], design: str) -> list[Run]:
    groups = [group for (_, name), group in group_runs(runs).items() if name == design]
    return max(groups, key=lambda group: group[0]["images_seen"], default=[])


def page(runs: list[Run]) -> str:
    """The page: what was compared, one row for each design, and the pyramid's prefixes."""
    groups = group_runs(runs)
    sources = sorted({name for run in runs for name in run["scores"]})
    lines = [
        "# Quality of autoencoders for the same time of training",
        "",
        provenance(runs, "autoencoder"),
        "",
        *_designs(groups, sources),
        "",
        "The pyramid, decoded from more and more of its levels, coarse to fine:",
        "",
        *_prefixes(groups, sources),
    ]
    gains = [mean_psnr(ours) - mean_psnr(other) for ours, other in paired_with_best_baseline(runs)]
    if len(gains) > 1:
        lines += [
            "",
            "Gain over the better of kl-f8 and kl-f16, seed by seed, longest trainings: "
            f"{statistics.mean(gains):.2f} ± {statistics.stdev(gains):.2f} dB.",
        ]
    return "\n".join(lines) + "\n"


def _designs(groups: Groups, sources: list[str]) -> list[str]:
    """The lines of the table with a row for each design."""
    heads = ["design", "seeds", "trained for", "images seen", "parameters", "values"]
    heads += [f"{name}: PSNR dB, SSIM, gradient error" for name in sources]
    rows = []
    for (trained, name), group in groups.items():
        first, base = group[0], {run["seed"]: run for run in groups.get((trained, "pyramid"), [])}
        cells = [
            name,
            str(len(group)),
            trained,
            f"{statistics.mean(run['images_seen'] for run in group):,.0f}",
            f"{first['parameters']:,}",
            str(first["latent_values"]),
            *(", ".join(_cells(group, source, -1)) for source in sources),
            _gain_cell(group, base),
        ]
        rows.append(cells)
    return table_lines([*heads, "mean PSNR against the pyramid's"], rows)


def _prefixes(groups: Groups, sources: list[str]) -> list[str]:
    """The lines of the table with a row for each prefix of the pyramid's levels."""
    pyramids = next((group for (_, name), group in groups.items() if name == "pyramid"), [])
    rows = [
        [levels, *(", ".join(_cells(pyramids, source, prefix)) for source in sources)]
        for prefix, levels in enumerate(LEVEL_NAMES if pyramids else ())
    ]
    return table_lines(["levels", *sources], rows)


def _cells(runs: list[Run], source: str, prefix: int) -> list[str]:
    cells = []
    for name, digits in (("psnr_db", 2), ("ssim", 3), ("gradient_error", 4)):
        values = [run["scores"][source][prefix][name] for run in runs]
        cells.append(mean_and_deviation(values, digits))
    return cells


def _gain_cell(runs: list[Run], base: dict[int, Run]) -> str:
    same = [mean_psnr(run) - mean_psnr(base[run["seed"]]) for run in runs if run["seed"] in base]
    if not same:
        return ""
    deviation = f" ± {statistics.stdev(same):.2f}" if len(same) > 1 else ""
    return f"{statistics.mean(same):+.2f}{deviation}"
