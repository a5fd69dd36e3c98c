"""All checks, in the order in which the pipeline meets their subjects."""

from collections.abc import Iterator
from pathlib import Path

from pdm.config.stages.scrape import FolderSource
from pdm.doctor import dvc_cache, environment, hardware, project, services
from pdm.doctor.finding import Finding


def examine(params_path: Path) -> Iterator[Finding]:
    """Run all checks, each as it is asked for. Nothing is started, fetched or written.

    Checks that depend on the params are left out if these do not fit.
    """
    yield environment.check_python()
    yield environment.check_packages()
    yield environment.check_lock()
    yield project.check_project()
    yield environment.check_git()
    params, finding = project.load_params(params_path)
    yield finding
    if params is not None:
        yield project.check_sources(params)
        if not all(isinstance(each, FolderSource) for each in params.scrape.sources):
            yield environment.check_img2dataset()
        yield environment.check_networks(params)
    yield hardware.check_device()
    if params is not None:
        yield hardware.check_compilers(params)
    yield services.check_ray()
    # The devices of a cluster are not those of this machine.
    if params is not None and not services.names_cluster():
        yield hardware.check_workers(params)
    yield hardware.check_memory()
    yield hardware.check_disk()
    yield dvc_cache.check_cache()
    yield services.check_mlflow()
    yield services.check_prefect()
    yield services.check_ports()
