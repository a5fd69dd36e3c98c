"""The page of the comparison of diffusion models, and the ratios that its goals are about."""

from benchmarks.results import Run, facts, grouped, spread

SCORE = "frechet_random_conv"
OURS = "pdm"
RIVALS = {
    "ldm-f8": "LDM f8 as published",
    "ldm-f8 by channel": "LDM f8 scaled by channel",
    "ldm-f8 by channel, our flow": "the same with a rectified flow",
}
COLUMNS = {  # and their floors
    "samples": ("distance to unseen crops", "floor"),
    "samples, held out": ("to held-out pictures", "floor, held out"),
    "samples, untouched": ("to untouched crops", "floor, untouched"),
}
OTHERS = {
    "swd/mean": ("sliced Wasserstein", 3),
    "precision_random_conv": ("precision", 2),
    "recall_random_conv": ("recall", 2),
}


Distances = tuple[float, float]  # ours, and the rival's


def compared(runs: list[Run], rival: str) -> dict[tuple[str, int], Distances]:
    """By source and seed: our distance, and a rival's; of the length with most such pairs."""
    lengths = sorted({run["seconds"] for run in runs}, key=lambda length: -(length or 0))
    pairs = [_pairs(runs, rival, length) for length in lengths]
    return max(pairs, key=len, default={})


def _pairs(runs: list[Run], rival: str, seconds: float | None) -> dict[tuple[str, int], Distances]:
    found: dict[tuple[str, int], dict[str, float]] = {}
    for run in runs:
        if run["seconds"] == seconds:
            place = found.setdefault((run["source"], run["seed"]), {})
            place[run["design"]] = run["distances"]["samples"][SCORE]
    return {
        where: (scores[OURS], scores[rival])
        for where, scores in sorted(found.items())
        if {OURS, rival} <= scores.keys()
    }


def page(runs: list[Run]) -> str:
    """What was compared, and for each source one row a design."""
    lines = ["# Quality of diffusion models for the same time of training", ""]
    lines += [facts(runs, "diffusion"), "", EXPLANATION, ""]
    for source in sorted({run["source"] for run in runs}):
        lines += [f"## {source.capitalize()}", "", *_table(source, runs), ""]
    for rival, name in RIVALS.items():
        found = compared(runs, rival)
        each = [
            f"{source}, seed {seed}: {ours / theirs:.3f}"
            for (source, seed), (ours, theirs) in found.items()
        ]
        if found:
            lines += [f"Distance of `{OURS}` over that of {name}: {'; '.join(each)}.", ""]
    return "\n".join(lines)


EXPLANATION = (
    f"Distances are the evaluate stage's `{SCORE}`, less is better; the floor is what as many real "
    "crops score that were trained on. Unseen crops are of the pictures that were trained on. All "
    "designs have one first stage, fixed and linear, with 16 values for each block of 8x8 pixels "
    "(`benchmarks/wavelets.py` says why), and real crops pass through it too, but in the column of "
    "untouched ones. Every model draws with as many evaluations."
)


def _table(source: str, runs: list[Run]) -> list[str]:
    own = [run for run in runs if run["source"] == source]
    heads = ["design", "seeds", "trained for", "images seen", "parameters"]
    heads += [title for title, _ in COLUMNS.values()]
    heads += [title for title, _ in OTHERS.values()]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for (trained, name), found in grouped(own).items():
        cells = [
            name,
            str(len(found)),
            trained,
            f"{sum(run['images_seen'] for run in found) / len(found):,.0f}",
            f"{found[0]['parameters']:,}",
            *(_spread(found, column, SCORE, 3) for column in COLUMNS),
            *(_spread(found, "samples", score, digits) for score, (_, digits) in OTHERS.items()),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    real = own[0]["distances"]
    floors = ["real crops (floor)", "", "", "", ""]
    floors += [f"{real[pair][SCORE]:.3f}" for _, pair in COLUMNS.values()]
    floors += [f"{real['floor'][score]:.{digits}f}" for score, (_, digits) in OTHERS.items()]
    return [*lines, "| " + " | ".join(floors) + " |"]


def _spread(runs: list[Run], pair: str, score: str, digits: int) -> str:
    return spread([run["distances"][pair][score] for run in runs], digits)
