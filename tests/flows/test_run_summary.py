"""What `pyramid run` shows at its end, of a project whose scores are known."""

import json
import shutil
from pathlib import Path

import pytest

from flows import report
from flows.stages.stage import Outcome

ROOT = Path(__file__).parents[2]
PAIR = {"samples_vs_val": 2.0, "train_vs_val": 0.25}
METRICS = {
    "frechet_random_conv": PAIR,
    "swd": {"mean": PAIR, "level_8x16": PAIR},
    "precision_random_conv": {"samples_vs_val": 0.5, "train_vs_val": 0.75},
    "recall_random_conv": {"samples_vs_val": 0.25, "train_vs_val": 0.75},
    "reconstruction": {"psnr_db": {"levels_1": 19.5, "levels_5": 31.25}},
    "memorisation": {
        "by_pixels": {"share_of_copies": 0.0},
        "by_features": {"share_of_copies": 0.0},
    },
    "spectrum_db": PAIR,
}
SHOWN = {
    "Fréchet distance": ["2", "0.25", "poor"],
    "sliced Wasserstein": ["2", "0.25", "poor"],
    "precision": ["0.5", "0.75", "fair"],
    "recall": ["0.25", "0.75", "poor"],
    "reconstruction": ["31.2", "24.2", "good"],
    "copies": ["0", "0", "good"],
}


@pytest.fixture
def project(toy):
    """The project's own graph, with scores, pages and samples; no stage has run."""
    shutil.copy(ROOT / "dvc.yaml", toy)
    shutil.copy(ROOT / "params.yaml", toy)
    Path("metrics.json").write_text(json.dumps(METRICS))
    for path in ("samples/contact-sheet.png", "plots/evaluation/spectrum.png", "reports/data.html"):
        Path(path).parent.mkdir(parents=True)
        Path(path).touch()
    return toy


def shown_text(capsys, outcomes=()):
    report.show(list(outcomes), 754.0)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("columns", [80, 140])
def test_a_run_ends_with_one_screen(project, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(columns))
    summary = "9 of 12 images, of which a long sentence tells more than fits into a line"
    lines = shown_text(capsys, [Outcome("curate", "run", 61.2, summary)])
    assert len(lines) <= 30
    [curate] = [line for line in lines if line.startswith("curate ")]
    assert curate.split()[:4] == ["curate", "run", "61", "9"]
    [scrape] = [line for line in lines if line.startswith("scrape ")]
    assert scrape.split() == ["scrape", "fresh"]
    for title, cells in SHOWN.items():
        [line] = [line for line in lines if line.startswith(title)]
        assert line.split()[-len(cells) :] == cells
    assert any(line.startswith("next") and "diffusion.training" in line for line in lines)
    for where in ("samples/contact-sheet.png", "reports/data.html", "pyramid scores", "mlflow ui"):
        assert any(where in line for line in lines)
    assert [line.split() for line in lines if line.startswith("plots")] == [
        ["plots", "plots/evaluation"]
    ]


def test_a_promotion_has_a_line_of_its_own(project, capsys):
    said = "version 1 is the champion: there was no champion before"
    evaluated = Outcome("evaluate", "run", 12.0, "kernel distance 0.03", said)
    lines = shown_text(capsys, [evaluated])
    [evaluate] = [line for line in lines if line.startswith("evaluate ")]
    assert evaluate.endswith("kernel distance 0.03")
    assert f"model         {said}" in lines
    report.remember(evaluated)
    lines = shown_text(capsys, [Outcome("evaluate", "fresh", 0.1, "")])
    assert f"model         {said}" in lines


def test_without_scores_all_else_is_printed(project, capsys):
    Path("metrics.json").unlink()
    lines = shown_text(capsys)
    assert any(line.startswith("evaluate ") for line in lines)
    assert not any("floor" in line for line in lines)


def test_a_password_in_the_address_of_a_database_is_not_shown(project, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:p@ss/canary@host/db")
    lines = shown_text(capsys)
    assert "canary" not in "\n".join(lines)
    assert any('--backend-store-uri "$MLFLOW_TRACKING_URI"' in line for line in lines)
