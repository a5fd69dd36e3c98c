"""A stage's name is its command, its section of params and its stage in dvc.yaml."""

import dataclasses
import os
import re
from functools import reduce
from inspect import getsource
from operator import getitem
from pathlib import Path

import grimp
import pytest
import yaml

from flows.pipeline import STAGES_OF
from pdm import cli, params
from pdm.params import comments
from pdm.params.document import Document
from pdm.params.keys import all_keys, in_default
from pdm.presets import DEFAULT
from pdm.versions import versions

ROOT = Path(__file__).parents[1]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# docs/decisions/freshness.md says why these depend on their code.
WITHOUT_VERSION = [name for name in GRAPH if name not in versions()]
# Checkpoints and caches survive a retry; see the head of dvc.yaml.
UNDECLARED_ON_PURPOSE = {
    f"runs/{name}" for name in ("scrape", "curate", "shard", "autoencoder", "diffusion", "evaluate")
} | {"models", "data/decisions"}  # only to warn


def declared(stage, *kinds):
    entries = [entry for kind in kinds for entry in stage.get(kind, [])]
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def test_one_name_for_stage_command_section_and_task():
    sections = list(yaml.safe_load((ROOT / "params.yaml").read_text()))
    in_flows = [name for names in STAGES_OF.values() for name in names]
    assert list(GRAPH) == list(cli.STAGES) == sections == in_flows


def test_the_params_of_the_template_fit():
    loaded = params.load(ROOT / "params.yaml")
    assert [field.name for field in dataclasses.fields(loaded)] == list(GRAPH)


@pytest.mark.skipif("CI" not in os.environ, reason="outside CI, params.yaml may be a user's own")
def test_the_params_of_the_template_are_the_default_ones():
    default = (ROOT / "pdm/presets/default.yaml").read_text()
    shipped = (ROOT / "params.yaml").read_text()
    assert shipped == default, "cp pdm/presets/default.yaml params.yaml"


LINE = "# --- rarely changed ---"


def test_each_default_has_its_meaning_beside_it_and_the_first_ones_stand_on_top():
    root = Document(DEFAULT.read_text()).root
    for key in all_keys():
        *parents, name = key.name.split(".")
        if not parents or not in_default(key.name):
            continue
        section = reduce(getitem, parents, root)
        assert comments.line_comment(section, name) == key.meaning, key.name
    for section, values in root.items():
        above = [LINE in comments.lines_above(values, key) for key in values]
        assert above.count(True) == (len(values) > 3), section


def test_every_setting_says_what_it_means():
    assert [key.name for key in all_keys() if "." in key.name and not key.meaning] == []


@pytest.mark.parametrize("name", GRAPH)
def test_every_path_of_a_command_is_declared(name):
    stage = GRAPH[name]
    used = {word for word in stage["cmd"].split() if "/" in word or "." in word}
    used |= {word for word in stage["cmd"].split()[4::2] if not word.startswith("-")}
    both = declared(stage, "deps", "outs", "plots", "metrics") | UNDECLARED_ON_PURPOSE
    assert used <= both


@pytest.mark.parametrize("name", GRAPH)
def test_a_stage_reads_its_own_section_only_and_its_version_if_it_has_one(name):
    version = [{"pdm/versions.yaml": [name]}] if name in versions() else []
    assert GRAPH[name]["params"] == [name, *version]


@pytest.mark.parametrize("name", versions())
def test_a_stage_with_a_version_depends_on_no_code(name):
    assert code_of(name) == set()


def code_of(name):
    """Code that a stage depends on."""
    return {path for path in declared(GRAPH[name], "deps") if path.startswith(("pdm", "sources"))}


@pytest.mark.parametrize("name", GRAPH)
def test_the_commands_defaults_are_the_graphs_paths(name):
    words = GRAPH[name]["cmd"].split()
    assert words[:3] == ["exec", "pyramid", name]
    given = {words[at].removeprefix("--"): words[at + 1] for at in range(3, len(words), 2)}
    assert given == cli.STAGES[name][1]


@pytest.mark.parametrize("name", WITHOUT_VERSION)
def test_code_that_a_stage_depends_on_exists(name):
    assert code_of(name)
    assert [path for path in code_of(name) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", GRAPH)
def test_a_stage_tells_a_newcomer_what_it_does(name):
    assert GRAPH[name]["desc"].endswith(".")
    assert cli.STAGES[name][0].__doc__


# Moves values and files about but computes nothing.
SUPPORT = (
    "pdm.config",
    "pdm.counts",
    "pdm.errors",
    "pdm.disk_full",
    "pdm.files",
    "pdm.progress",
    "pdm.events",
    "pdm.machine",
    "pdm.weights",
    "pdm.model_record",
)


@pytest.fixture(scope="module")
def imports():
    return grimp.build_graph("pdm", cache_dir=None)


@pytest.mark.parametrize("name", WITHOUT_VERSION)
def test_all_code_that_makes_a_stages_outputs_is_among_its_dependencies(name, imports):
    lines = getsource(cli.STAGES[name][0])
    [module] = re.findall(r"from (pdm\.[\w.]+) import", lines)
    used = {module} | imports.find_upstream_modules(module)
    code = [path.removesuffix(".py").replace("/", ".") for path in code_of(name)]
    covered = (*code, *SUPPORT)
    missing = {
        found
        for found in used
        if not any(found == path or found.startswith(f"{path}.") for path in covered)
        and not (ROOT / found.replace(".", "/")).is_dir()  # a package's own docstring
    }
    assert missing == set()
