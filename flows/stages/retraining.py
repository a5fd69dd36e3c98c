"""Warns that a stage will train a model again, before DVC removes the present one: why, the cost,
and how to keep the model.

Only `pyramid STAGE --dry-run` knows whether a stage would train at all: a finished run of the same
params and data may have its model. Only DVC knows what changed since the model was made.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from flows.errors import BAD_INPUT, RunError
from flows.stages import graph
from flows.stages.stage import environment_of_stages
from flows.stages.staleness import Staleness, staleness

TRAINING = ("autoencoder", "diffusion")  # commands of `pyramid` with the option --dry-run
LONG_SECONDS = 1800.0  # trainings longer than this get more than one line

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Retraining:
    """A model that would be trained again.

    Args:
        stage: Stage that would train it.
        plan: Sentence that says what it would do.
        why: What has changed.
        copy: Sentence that says where the present model is kept.
        last_seconds: Duration of the last training; None if it is not known.
    """

    stage: str
    plan: str
    why: Staleness
    copy: str
    last_seconds: float | None

    def lines(self) -> list[str]:
        """Format the warning: one line, or several if the last training was long or its length is
        unknown."""
        if self.last_seconds is not None and self.last_seconds < LONG_SECONDS:
            return [f"{self.plan}. Why: {self.why}. {self.copy}"]
        return [
            self.plan,
            f"  why: {self.why}",
            f"  {self.copy}",
            f"  to keep it in place: stop with ctrl-C, run `dvc checkout {self.stage}` if it is "
            "gone already, and undo the change; or take it as the model of the present params and "
            f"data with `dvc commit --force {self.stage}`",
            f"  to start from its weights: set {self.stage}.init_from (docs/guide/running.md)",
            "  `pyramid run --keep-models` stops at this point instead",
        ]


def announce(stale: Collection[str], say: Say, *, keep_models: bool) -> tuple[str, ...]:
    """Say which models will be trained again, as far as it is known before anything runs.

    Args:
        stale: Stages that will run.
        say: Called with each line.
        keep_models: Refuse to train a model again.

    Returns:
        The stages that need not be announced again.

    Raises:
        RunError: A model would be trained again, and `keep_models` is set.
    """
    stages = [stage for stage in graph.stages() if _dry_run(stage)]
    retrainings = {}
    for stage in stages:
        inputs_are_final = not stage.upstream & set(stale)
        if stage.name in stale and (retraining := _retraining(stage, strict=inputs_are_final)):
            retrainings[stage.name] = retraining
    _say_all(retrainings.values(), say)
    for stage in stages:
        if stage.name not in stale:
            _say_what_may_follow(stage, retrainings, stale, say)
    _refuse(retrainings, keep_models=keep_models)
    return tuple(retrainings)


def announce_stage(name: str, say: Say, *, keep_models: bool) -> None:
    """Like `announce`, for one stage whose inputs are up to date.

    Raises:
        RunError: The model would be trained again, and `keep_models` is set; or the stage cannot
            run at all.
    """
    if name not in TRAINING:
        return
    [stage] = [each for each in graph.stages() if each.name == name]
    if _dry_run(stage) and (retraining := _retraining(stage, strict=True)):
        _say_all([retraining], say)
        _refuse([name], keep_models=keep_models)


def _say_all(retrainings: Iterable[Retraining], say: Say) -> None:
    for retraining in retrainings:
        for line in retraining.lines():
            say(line)


def _say_what_may_follow(
    stage: graph.Stage, retrained: Collection[str], stale: Collection[str], say: Say
) -> None:
    """Announce that a model, which is still up to date, is trained again if its data change."""
    trained = [name for name in retrained if name in stage.upstream]
    before = sorted(stage.upstream & set(stale))
    if not before:
        return
    plan = _plan(stage, strict=False)
    last = f"; the last run took {plan['last']}" if plan and plan["last"] else ""
    if trained:
        say(f"{stage.name}: its model will be trained again, too, after {trained[-1]}{last}")
    else:
        changes = f"if the output of {', '.join(before)} changes"
        say(f"{stage.name}: its model will be trained again {changes}{last}")


def _refuse(names: Collection[str], *, keep_models: bool) -> None:
    if names and keep_models:
        raise RunError(
            f"--keep-models: {' and '.join(names)} would be trained again, for the reasons above; "
            f"undo them, or keep the present model with `dvc commit --force {' '.join(names)}`, or "
            "run without --keep-models. No model was removed",
            BAD_INPUT,
        )


def _retraining(stage: graph.Stage, *, strict: bool) -> Retraining | None:
    """Find out whether the stage would train its model again."""
    if (why := staleness(stage.name)) is None:
        return None
    plan = _plan(stage, strict=strict)
    if plan is None or plan["action"] == "restore":
        return None
    copy = _copy(stage.name, plan, why)
    return Retraining(stage.name, plan["text"], why, copy, plan["last_seconds"])


def _plan(stage: graph.Stage, *, strict: bool) -> dict[str, Any] | None:
    """Return the stage's plan; None if it cannot say, which is an error if `strict`."""
    result = subprocess.run(
        _dry_run(stage), capture_output=True, text=True, env=environment_of_stages(), check=False
    )
    if not result.returncode:
        plan: dict[str, Any] = json.loads(result.stdout)
        return plan
    if strict:
        text = (result.stderr.strip() or result.stdout.strip()).rpartition("error: ")[2]
        raise RunError(f"stage '{stage.name}': {text}", result.returncode)
    return None


def _copy(name: str, plan: dict[str, Any], why: Staleness) -> str:
    """Say where the present model is kept."""
    if plan["copy"] and plan["copy_stays"]:
        return f"The present model stays in {plan['copy']}"
    if plan["copy"]:
        return (
            f"The present model is also in {plan['copy']}, until the new training has finished "
            f"({name}.training.keep_runs)"
        )
    if why.unsaved:
        return f"No run and no cache has {' and '.join(why.unsaved)}: copy it now, or it is lost"
    if why.missing:
        return f"The model is not in DVC's cache either; `dvc pull {name}` fetches it from a remote"
    return "The present model stays in DVC's cache, under its digest in dvc.lock"


def _dry_run(stage: graph.Stage) -> list[str]:
    """Return the dry-run command of the stage; empty if it trains nothing."""
    words = shlex.split(stage.command)
    if "pyramid" not in words:
        return []
    words = words[words.index("pyramid") + 1 :]
    if words[:1] != [stage.name] or stage.name not in TRAINING:
        return []
    return [sys.executable, "-m", "pdm", *words, "--dry-run", "json"]
