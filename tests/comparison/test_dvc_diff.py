"""DVC's own comparison shows the numbers of the page."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compared_runs import SCORE, write_run

from pdm.comparison.folders import read

ROOT = Path(__file__).parents[2]


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.slow
def test_metrics_diff_and_plots_diff_show_the_same_numbers_as_the_page(tmp_path):
    project = write_run(tmp_path / "project", 3.0)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, project)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    dvc = [sys.executable, "-m", "dvc"]
    for command in ([*git, "init", "-q"], [*dvc, "init", "-q"], [*git, "add", "-A"]):
        run(project, *command)
    run(project, *git, "commit", "-qm", "before")
    before = read(project)
    other = write_run(tmp_path / "other", 4.0)
    shutil.copy(other / "metrics.json", project)
    shutil.copy(other / "plots" / "diffusion.csv", project / "plots")
    after = read(project)

    changed = json.loads(run(project, *dvc, "metrics", "diff", "HEAD", "--json"))
    found = changed["metrics.json"][SCORE.replace("/", ".")]
    assert (found["old"], found["new"]) == (before.scores[SCORE], after.scores[SCORE])

    plots = json.loads(run(project, *dvc, "plots", "diff", "HEAD", "--json"))["data"]
    [chart] = plots["plots/diffusion.csv"]
    points = chart["content"]["data"]["values"]
    for revision, known in ("HEAD", before), ("workspace", after):
        drawn = [
            (float(one["images_seen"]), float(one["loss"]))
            for one in points
            if one["rev"] == revision
        ]
        assert drawn == list(known.curves["diffusion/loss"])
