"""The page of the comparison of diffusion models, and the ratios that its goals refer to."""

from benchmarks.designs.results import Run, group_runs, mean_and_deviation, provenance
from benchmarks.shared.markdown import table_lines

SCORE = "frechet_random_conv"
OURS = "pdm"
BASELINES = {
    "ldm-f8": "LDM f8 as published",
    "ldm-f8 by channel": "LDM f8 scaled by channel",
    "ldm-f8 by channel, our flow": "the same with a rectified flow",
}
COLUMNS = {  # title of each distance, and the name of its floor
    "samples": ("distance to unseen crops", "floor"),
    "samples, held out": ("to held-out pictures", "floor, held out"),
    "samples, untouched": ("to untouched crops", "floor, untouched"),
}
OTHERS = {
    "swd/mean": ("sliced Wasserstein", 3),
    "precision_random_conv": ("precision", 2),
    "recall_random_conv": ("recall", 2),
}

Distances = tuple[float, float]  # ours, the baseline's


def paired_distances(runs: list[Run], baseline: str) -> dict[tuple[str, int], Distances]:
    """Our distance and the baseline's, by source and seed, for the length with most such pairs."""
    lengths = sorted({run["seconds"] for run in runs}, key=lambda length: -(length or 0))
    pairs = [_pairs(runs, baseline, length) for length in lengths]
    return max(pairs, key=len, default={})


def _pairs(
    runs: list[Run], baseline: str, seconds: float | None
) -> dict[tuple[str, int], Distances]:
    by_place: dict[tuple[str, int], dict[str, float]] = {}
    for run in runs:
        if run["seconds"] == seconds:
            scores = by_place.setdefault((run["source"], run["seed"]), {})
            scores[run["design"]] = run["distances"]["samples"][SCORE]
    return {
        place: (scores[OURS], scores[baseline])
        for place, scores in sorted(by_place.items())
        if {OURS, baseline} <= scores.keys()
    }


def page(runs: list[Run]) -> str:
    """What was compared, and for each source a table with one row for each design."""
    lines = ["# Quality of diffusion models for the same time of training", ""]
    lines += [provenance(runs, "diffusion"), "", EXPLANATION, ""]
    for source in sorted({run["source"] for run in runs}):
        lines += [f"## {source.capitalize()}", "", *_table(source, runs), ""]
    for baseline, name in BASELINES.items():
        pairs = paired_distances(runs, baseline)
        each = [
            f"{source}, seed {seed}: {ours / theirs:.3f}"
            for (source, seed), (ours, theirs) in pairs.items()
        ]
        if pairs:
            lines += [f"Distance of `{OURS}` over that of {name}: {'; '.join(each)}.", ""]
    return "\n".join(lines)


EXPLANATION = (
    f"Distances are the evaluate stage's `{SCORE}`; less is better. The floor is the score of as "
    "many crops of the training set. Unseen crops come from the pictures that were trained on. All "
    "designs share one first stage, fixed and linear, with 16 values for each block of 8x8 pixels "
    "(`benchmarks/designs/wavelets.py` says why). Real crops pass through it too, except in the "
    "column of untouched crops. All models are sampled with the same number of evaluations. "
    "Compare rows of one length only: those were run in turn on one machine."
)


def _table(source: str, runs: list[Run]) -> list[str]:
    own = [run for run in runs if run["source"] == source]
    heads = ["design", "seeds", "trained for", "images seen", "parameters"]
    heads += [title for title, _ in COLUMNS.values()]
    heads += [title for title, _ in OTHERS.values()]
    rows = []
    for (trained, name), group in group_runs(own).items():
        cells = [
            name,
            str(len(group)),
            trained,
            f"{sum(run['images_seen'] for run in group) / len(group):,.0f}",
            f"{group[0]['parameters']:,}",
            *(_cell(group, column, SCORE, 3) for column in COLUMNS),
            *(_cell(group, "samples", score, digits) for score, (_, digits) in OTHERS.items()),
        ]
        rows.append(cells)
    real = own[0]["distances"]
    floors = ["real crops (floor)", "", "", "", ""]
    floors += [f"{real[pair][SCORE]:.3f}" for _, pair in COLUMNS.values()]
    floors += [f"{real['floor'][score]:.{digits}f}" for score, (_, digits) in OTHERS.items()]
    return table_lines(heads, [*rows, floors])


def _cell(runs: list[Run], pair: str, score: str, digits: int) -> str:
    return mean_and_deviation([run["distances"][pair][score] for run in runs], digits)
