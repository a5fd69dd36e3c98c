"""The summary at the end of a run, on one screen: stages, headline scores, next step, files.

`pyramid scores` chooses and rates the scores.
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.addresses import without_credentials
from flows.stages import graph
from flows.stages.stage import Outcome, environment_of_stages

UP_TO_DATE = "everything is up to date"
LAST_OUTCOMES = Path("runs/stages.json")  # results of stages that are up to date
CONTACT_SHEET = "contact-sheet.png"
MAX_EMBEDDED_BYTES = 4 * 2**20
MAX_SCORES = 6  # for pipelines whose scores `pyramid scores` does not know


@dataclass(frozen=True, slots=True)
class Score:
    """A headline score. Unknown fields are empty."""

    title: str
    value: float
    floor: float | None = None
    word: str = ""  # good, fair or poor


@dataclass(frozen=True, slots=True)
class Results:
    """The results of the pipeline, as far as they exist."""

    scores: tuple[Score, ...]
    next_step: str
    contact_sheet: Path | None
    plots: tuple[Path, ...]  # folders of images, other than that of the contact sheet
    pages: tuple[Path, ...]


def results() -> Results:
    """Read the outputs declared in dvc.yaml."""
    stages = graph.stages()
    outputs = [Path(path) for stage in stages for path in stage.outputs]
    sheets = [sheet for path in outputs if (sheet := path / CONTACT_SHEET).is_file()]
    folders = [path for path in outputs if path / CONTACT_SHEET not in sheets]
    plots = tuple(path for path in folders if any(path.glob("*.png")))
    pages = tuple(path for path in outputs if path.suffix == ".html" and path.is_file())
    metrics = [path for stage in stages for path in stage.metrics if Path(path).is_file()]
    scores, next_step = _headline_scores() if metrics and graph.runs_pyramid_command() else ((), "")
    if not scores:
        numbers = [item for path in metrics for item in _flat(_json(Path(path))).items()]
        scores = tuple(Score(name, value) for name, value in numbers[:MAX_SCORES])
    return Results(scores, next_step, sheets[0] if sheets else None, plots, pages)


def _headline_scores() -> tuple[tuple[Score, ...], str]:
    """Return the headline scores and the next step of `pyramid scores`."""
    result = subprocess.run(
        [sys.executable, "-m", "pdm", "scores", "--headline", "--json"],
        capture_output=True,
        text=True,
        env=environment_of_stages(),
        check=False,
    )
    if result.returncode:
        return (), ""
    printed = json.loads(result.stdout)
    names = [item.name for item in fields(Score)]
    entries = [Score(**{name: entry[name] for name in names}) for entry in printed["headline"]]
    return tuple(entries), str(printed["next"])


def sentence(outcome: Outcome) -> str:
    """Describe the outcome of a stage in one line."""
    if outcome.state == "fresh":
        return f"{outcome.stage}: up to date"
    how = "done" if outcome.state == "run" else "restored from the cache"
    return f"{outcome.stage}: {how} in {outcome.seconds:.0f} s"


def remember(outcome: Outcome) -> None:
    """Store a stage's summary, for later runs in which it is up to date."""
    if outcome.state == "fresh":
        return
    outcomes = _load_outcomes() | {outcome.stage: asdict(outcome)}
    LAST_OUTCOMES.parent.mkdir(parents=True, exist_ok=True)
    temporary = LAST_OUTCOMES.with_name(f".tmp-{LAST_OUTCOMES.name}")
    temporary.write_text(json.dumps(outcomes, indent=2) + "\n", encoding="utf-8")
    temporary.replace(LAST_OUTCOMES)


def show(outcomes: list[Outcome], seconds: float) -> None:
    """Print, on one screen, all stages, headline scores, the next step, and where to look."""
    console = Console(highlight=False)
    latest = results()
    console.print()
    console.print(_stages(outcomes, seconds, console.width))
    if latest.scores:
        console.print()
        console.print(_scores(latest.scores))
    console.print()
    for name, text in (*_promotions(outcomes), *_pointers(latest)):
        console.print(f"[bold]{name:<13}[/bold] {escape(text)}", soft_wrap=True)


def _promotions(outcomes: list[Outcome]) -> Iterator[tuple[str, str]]:
    """Yield what became of the model in MLflow's registry, in this run or the last that said so."""
    now = {outcome.stage: outcome.promotion for outcome in outcomes}
    before = _load_outcomes()
    for stage in graph.stages():
        kept = before.get(stage.name, {}).get("promotion", "")
        if promotion := now.get(stage.name) or kept:
            yield "model", promotion


def _pointers(latest: Results) -> Iterator[tuple[str, str]]:
    if latest.next_step:
        yield "next", latest.next_step
    if latest.contact_sheet:
        yield "samples", str(latest.contact_sheet)
    for folder in latest.plots:
        yield "plots", str(folder)
    for page in latest.pages:
        yield "data report", f"python3 -m webbrowser -t {page.resolve().as_uri()}"
    if latest.next_step:
        yield "all scores", "pyramid scores"
    yield "MLflow", _mlflow_page()


def markdown(latest: Results) -> str:
    """Format scores, next step and the paths of contact sheet and plots as Markdown."""
    rows = [
        f"| {score.title} | {_number(score.value)} | {_number(score.floor)} | {score.word} |"
        for score in latest.scores
    ]
    parts = ["\n".join(("| score | value | floor | |", "|---|---|---|---|", *rows))]
    if latest.next_step:
        parts.append(f"Next: {latest.next_step}. All scores: `pyramid scores`")
    if latest.contact_sheet:
        parts.append(f"Contact sheet: `{latest.contact_sheet}`")
    parts += [f"Plots: `{folder}`" for folder in latest.plots]
    return "\n\n".join(parts) + "\n"


def image_url(path: Path) -> str:
    """Return an address that works wherever the server runs: the embedded image, unless it is too
    large."""
    if path.stat().st_size > MAX_EMBEDDED_BYTES:
        return path.resolve().as_uri()
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _mlflow_page() -> str:
    """Return the command that opens MLflow, or its server's address, without a password."""
    store = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    if store.startswith("http"):
        return without_credentials(store)
    printable = store if without_credentials(store) == store else '"$MLFLOW_TRACKING_URI"'
    return f".venv/bin/mlflow ui --backend-store-uri {printable} --workers 1"


def _stages(outcomes: list[Outcome], seconds: float, width: int) -> Table:
    """Make a row for each stage, cut to the terminal's width."""
    stages, now, before = graph.stages(), {each.stage: each for each in outcomes}, _load_outcomes()
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    table.add_column("")
    table.add_column("seconds", justify="right")
    table.add_column("result")
    room = width - max(len(stage.name) for stage in stages) - len("restored  seconds") - 6
    for stage in stages:
        outcome = now.get(stage.name)
        state = outcome.state if outcome else "fresh"
        took = f"{outcome.seconds:.0f}" if outcome and state != "fresh" else ""
        summary = (outcome and outcome.summary) or before.get(stage.name, {}).get("summary", "")
        text = Text(summary)
        text.truncate(max(room, 1), overflow="ellipsis")
        table.add_row(stage.name, state, took, text)
    table.add_row("in all", "", f"{seconds:.0f}", "")
    return table


def _scores(scores: Sequence[Score]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("score", no_wrap=True)
    table.add_column("value", justify="right")
    table.add_column("floor", justify="right")
    table.add_column("")
    for score in scores:
        values = _number(score.value), _number(score.floor)
        table.add_row(escape(score.title), *values, score.word)
    return table


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _load_outcomes() -> dict[str, Any]:
    try:
        outcomes = json.loads(LAST_OUTCOMES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return outcomes if isinstance(outcomes, dict) else {}


def _flat(value: Any, name: str = "") -> dict[str, float]:
    """Flatten the numbers of nested mappings to dotted names."""
    if isinstance(value, dict):
        parts = [_flat(below, f"{name}.{key}" if name else key) for key, below in value.items()]
        return {key: number for part in parts for key, number in part.items()}
    return {name: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}
