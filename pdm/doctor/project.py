"""Checks of the project's folder: the graph, the params, and the sources that they name."""

from pathlib import Path

from pdm import params as params_file
from pdm.config import Params
from pdm.config.stages.scrape import BuiltinSource
from pdm.doctor.finding import Finding, error, failed, ok
from pdm.errors import BadInput, PyramidError
from pdm.params.files import check_files

GRAPH = Path("dvc.yaml")


def check_project() -> Finding:
    """Look for the graph of stages."""
    if not GRAPH.is_file():
        text = f"{GRAPH}: no such file; change to the folder of the project, where it is"
        return error("project", text, BadInput)
    return ok("project", str(Path.cwd()))


def load_params(path: Path) -> tuple[Params | None, Finding]:
    """Read the params; they are None if any value does not fit."""
    try:
        params = params_file.load(path)
        check_files(params)
    except PyramidError as fault:
        return None, failed("params", fault)
    return params, ok("params", f"{path}: all values fit")


def check_sources(params: Params) -> Finding:
    """Look for the lists and folders of `scrape.sources`."""
    sources = params.scrape.sources
    paths = [Path(each.path) for each in sources if not isinstance(each, BuiltinSource)]
    if missing := [str(path) for path in paths if not path.exists()]:
        text = f"scrape.sources: no such file or folder: {', '.join(missing)}"
        return error("sources", text, BadInput)
    if empty := [str(path) for path in paths if path.is_dir() and not any(path.iterdir())]:
        return error("sources", f"scrape.sources: empty folder: {', '.join(empty)}", BadInput)
    kinds = ", ".join(str(getattr(each, "path", each.kind)) for each in sources)
    return ok("sources", kinds)
