"""What a run tells at its end: a table of the stages, the scores, and where to look."""

import base64
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console
from rich.table import Table

from flows import graph
from flows.stage import Outcome

UP_TO_DATE = "everything is up to date"
LAST_OUTCOMES = Path("runs/stages.json")  # so that a fresh stage can still say what came out
CONTACT_SHEET = "contact-sheet.png"
LARGEST_EMBEDDED_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Results:
    """What the pipeline has made, as far as it is there."""

    scores: dict[str, float]
    contact_sheet: Path | None
    pages: tuple[Path, ...]


def results() -> Results:
    """Look into the outputs that dvc.yaml declares."""
    stages = graph.stages()
    outputs = [Path(path) for stage in stages for path in stage.outputs]
    sheets = [sheet for path in outputs if (sheet := path / CONTACT_SHEET).is_file()]
    scores: dict[str, float] = {}
    for path in (path for stage in stages for path in stage.metrics):
        if Path(path).is_file():
            scores |= _flat(json.loads(Path(path).read_text(encoding="utf-8")))
    pages = tuple(path for path in outputs if path.suffix == ".html" and path.is_file())
    return Results(scores, sheets[0] if sheets else None, pages)


def sentence(outcome: Outcome) -> str:
    """One line on what became of a stage."""
    if outcome.state == "fresh":
        return f"{outcome.stage}: up to date"
    how = "done" if outcome.state == "run" else "restored from the cache"
    return f"{outcome.stage}: {how} in {outcome.seconds:.0f} s"


def remember(outcome: Outcome) -> None:
    """Keep what a stage said, for the tables of later runs in which it is fresh."""
    if outcome.state == "fresh":
        return
    kept = _remembered() | {outcome.stage: asdict(outcome)}
    LAST_OUTCOMES.parent.mkdir(parents=True, exist_ok=True)
    temporary = LAST_OUTCOMES.with_name(f".tmp-{LAST_OUTCOMES.name}")
    temporary.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    temporary.replace(LAST_OUTCOMES)


def show(outcomes: list[Outcome], seconds: float) -> None:
    """Print the table of all stages, the scores, and the commands that open the pages."""
    console = Console(highlight=False, soft_wrap=False)
    console.print()
    console.print(_table(outcomes, seconds))
    found = results()
    if found.scores:
        console.print(_scores(found.scores))
    console.print()
    lines = []
    if found.contact_sheet:
        lines.append(("contact sheet", str(found.contact_sheet)))
    lines += [
        ("data report", f"python3 -m webbrowser -t {page.resolve().as_uri()}")
        for page in found.pages
    ]
    lines.append(("MLflow page", _mlflow_page()))
    for name, text in lines:
        console.print(f"[bold]{name:<14}[/bold] {text}", soft_wrap=True)


def markdown(found: Results) -> str:
    """The scores as a table, and where the pictures lie."""
    rows = [f"| {name} | {_number(value)} |" for name, value in found.scores.items()]
    text = "\n".join(("| score | value |", "|---|---|", *rows))
    return f"{text}\n\nContact sheet: `{found.contact_sheet}`\n" if found.contact_sheet else text


def image_url(path: Path) -> str:
    """An address that a browser shows wherever the server runs: the picture itself, unless it is
    too large for that."""
    if path.stat().st_size > LARGEST_EMBEDDED_BYTES:
        return path.resolve().as_uri()
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _mlflow_page() -> str:
    """The command that opens it, or the address of a server, without its password."""
    store = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    if not store.startswith("http"):
        return f".venv/bin/mlflow ui --backend-store-uri {store} --workers 1"
    parts = urlsplit(store)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _table(outcomes: list[Outcome], seconds: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    for heading in ("stage", "seconds", "", "what came out", "where"):
        table.add_column(heading, justify="right" if heading == "seconds" else "left")
    now = {outcome.stage: outcome for outcome in outcomes}
    before = _remembered()
    for stage in graph.stages():
        outcome = now.get(stage.name)
        state = outcome.state if outcome else "fresh"
        took = f"{outcome.seconds:.0f}" if outcome and state != "fresh" else ""
        said = (outcome and outcome.said) or before.get(stage.name, {}).get("said", "")
        table.add_row(stage.name, took, state, said, "\n".join(stage.outputs))
    table.add_row("in all", f"{seconds:.0f}", "", "", "")
    return table


def _scores(scores: dict[str, float]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("\nscore")
    table.add_column("\nvalue", justify="right")
    for name, value in scores.items():
        table.add_row(name, _number(value))
    return table


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _remembered() -> dict[str, Any]:
    try:
        kept = json.loads(LAST_OUTCOMES.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _flat(value: Any, name: str = "") -> dict[str, float]:
    """Numbers of nested mappings, under dotted names."""
    if isinstance(value, dict):
        parts = [_flat(below, f"{name}.{key}" if name else key) for key, below in value.items()]
        return {key: number for part in parts for key, number in part.items()}
    return {name: value} if isinstance(value, int | float) and not isinstance(value, bool) else {}
