"""The page of the comparison of whole systems, and the ratios that its goals refer to."""

import statistics

from benchmarks.designs.results import Run, group_runs, mean_and_deviation, provenance
from benchmarks.designs.system_designs import GROUPS, JUDGE, SYSTEMS, TEACHER
from benchmarks.shared.markdown import table_lines
from benchmarks.shared.ratios import Ratio

NETWORK = JUDGE.replace("-", "_")
SCORE = f"kernel_{NETWORK}"
GOALS = {"ldm": "at most 0.5", "dfm": "at most 1.0", "lapflow": "at most 1.0"}
COLUMNS = {  # pair and score of each column, with a factor and digits
    "learned distance": ("samples", SCORE, 1000, 1),
    "of reconstructions": ("reconstructions", SCORE, 1000, 1),
    "to held-out pictures": ("samples, held out", SCORE, 1000, 1),
    "Fréchet": ("samples", f"frechet_{NETWORK}", 1, 1),
    "recall": ("samples", f"recall_{NETWORK}", 1, 2),
    "`random_conv`": ("samples", "frechet_random_conv", 1, 2),
    "spectrum dB": ("samples", "spectrum_db", 1, 1),
    "guided: learned distance": ("guided", SCORE, 1000, 1),
    "guided, to held-out pictures": ("guided, held out", SCORE, 1000, 1),
    "guided: recall": ("guided", f"recall_{NETWORK}", 1, 2),
    "guided: spectrum dB": ("guided", "spectrum_db", 1, 1),
}
FLOORS = {
    "samples": "floor",
    "samples, held out": "floor, held out",
    "guided": "floor",
    "guided, held out": "floor, held out",
}

Distances = tuple[float, float]  # ours, the best rival's


def paired_distances(runs: list[Run], group: str) -> dict[tuple[str, int], Distances]:
    """Our distance and the best rival's of a group, by source and seed.

    A system counts by its better pictures, guided or not. Of the length with most such pairs, the
    longest of those. A seed counts once every rival of the group has run, or the best could be
    missing.
    """
    lengths = sorted({run["seconds"] for run in runs}, reverse=True)
    return max((_pairs(runs, group, length) for length in lengths), key=len, default={})


def _pairs(runs: list[Run], group: str, seconds: float) -> dict[tuple[str, int], Distances]:
    by_place: dict[tuple[str, int], dict[str, float]] = {}
    for run in runs:
        if run["seconds"] == seconds:
            scores = by_place.setdefault((run["source"], run["seed"]), {})
            scores[run["design"]] = best_distance(run)
    ours, rivals = GROUPS[group].ours, GROUPS[group].rivals
    return {
        place: (scores[ours], min(scores[rival] for rival in rivals))
        for place, scores in sorted(by_place.items())
        if {ours, *rivals} <= scores.keys()
    }


def best_distance(run: Run) -> float:
    """Learned distance of a system's samples, guided or not, whichever is less.

    Runs before 2026-11-30 were not drawn with guidance.
    """
    distances = run["distances"]
    found: float = min(
        distances[pair][SCORE] for pair in ("samples", "guided") if pair in distances
    )
    return found


def ratios(runs: list[Run]) -> list[Ratio]:
    """A line for each group of rivals that has run beside ours; each source and seed is a round."""
    lines = []
    for group, goal in GOALS.items():
        pairs = list(paired_distances(runs, group).values())
        if not pairs:
            continue
        ours, theirs = zip(*pairs, strict=True)
        values = tuple(a / b for a, b in pairs)
        question = f"learned distance of a whole system's samples, over that of {group} (best)"
        medians = statistics.median(ours), statistics.median(theirs)
        note = "Kept from a long run: docs/results/systems.md. Less is better."
        lines.append(Ratio(f"system_vs_{group}", question, *medians, "", values, goal, note))
    return lines


def page(runs: list[Run]) -> str:
    """What was compared, and for each source a table with one row for each system."""
    lines = ["# Whole systems after the same time of training", ""]
    lines += [provenance(runs, "", "systems.py").replace("py `", "py`"), "", EXPLANATION, ""]
    for line in _equal_images(runs):
        lines += [line, ""]
    for source in sorted({run["source"] for run in runs}):
        own = [run for run in runs if run["source"] == source]
        own.sort(key=lambda run: list(SYSTEMS).index(run["design"]))
        lines += [f"## {source.capitalize()}", "", *_table(own), ""]
    for group in GROUPS:
        pairs = paired_distances(runs, group)
        each = [
            f"{source}, seed {seed}: {ours / theirs:.3f}"
            for (source, seed), (ours, theirs) in pairs.items()
        ]
        if pairs:
            lines += [
                f"Learned distance of `{GROUPS[group].ours}` over the best of {group}, each guided "
                f"or not, whichever is better: {'; '.join(each)}."
            ]
            lines += [""]
    return "\n".join(lines)


EXPLANATION = (
    "A system is a first stage and a flow, each trained for half of the time. Learned distance: "
    f"`{SCORE}` x 1000, the unbiased kernel distance of features of {JUDGE}, which trained "
    f"nothing; the perceptual term of all first stages is by {TEACHER}. Less is better. All are "
    "against crops that were not trained on, of the pictures that were, unless the column says "
    "held out; none passes through a first stage. The floor is the score of as many crops of the "
    "training set. `pdm` has nearly all of its independent values in the finest level, and a "
    "texture term and a projected discriminator in its first stage's loss. Rows of LDM with a "
    "discriminator have both, too; other rows have what they name. `dfm` and `lapflow` share the "
    "first stage of `pdm, with texture`. Values are those that "
    "do not follow from the others: a level without its means over the coarser grid has three "
    "independent ones in four. Guided: from the same noise, but "
    "guided by the same model as it was after a quarter of its training, as the default run is, "
    "for every system alike. Photographs are those of public packages, reduced to a shorter side "
    "of 512 px. Compare rows of one length only."
)


def _equal_images(runs: list[Run]) -> list[str]:
    """Says which rows were trained for as many images as another, in place of the time."""
    leaders: dict[str, set[str]] = {}
    for run in runs:
        if leader := run.get("as_many_images_as"):
            places = leaders.setdefault(leader, set())
            places.add(f"`{run['design']}` ({run['source']}, seed {run['seed']})")
    return [
        f"Trained for as many images as `{leader}` had seen in that time, since the machine was "
        f"another or had more work: {', '.join(sorted(places))}."
        for leader, places in leaders.items()
    ]


def _table(runs: list[Run]) -> list[str]:
    heads = ["system", "seeds", "trained for", "images, first stage", "images, flow"]
    heads += ["parameters", "independent values", *COLUMNS]
    rows = []
    for (trained, name), group in group_runs(runs).items():
        cells = [
            name,
            str(len(group)),
            trained,
            f"{statistics.mean(run['first_stage_images'] for run in group):,.0f}",
            f"{statistics.mean(run['images_seen'] for run in group):,.0f}",
            " + ".join(f"{part:,}" for part in group[0]["parameters"]),
            str(group[0]["latent_values"]),
            *(_cell(group, *column) for column in COLUMNS.values()),
        ]
        rows.append(cells)
    floors = ["real crops (floor)", *[""] * 6]
    for pair, score, factor, digits in COLUMNS.values():
        floor = FLOORS.get(pair)
        floors.append(_cell(runs[:1], floor, score, factor, digits) if floor else "")
    return table_lines(heads, [*rows, floors])


def _cell(runs: list[Run], pair: str, score: str, factor: float, digits: int) -> str:
    if any(pair not in run["distances"] for run in runs):
        return ""
    return mean_and_deviation([factor * run["distances"][pair][score] for run in runs], digits)
