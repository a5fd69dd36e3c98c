"""Checks of Python, the installed packages, and the commands that stages call."""

import shutil
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from pdm.config import Params
from pdm.curation.scrape.fetching.img2dataset import find_img2dataset
from pdm.doctor.finding import Finding, error, failed, listed, ok, warning
from pdm.errors import PyramidError, Unavailable
from pdm.models.features.variants import is_installed, variant_named

DISTRIBUTION = "pyramid-diffusion"
LOCK = Path("requirements.lock")


def check_python() -> Finding:
    """Compare this Python with the versions that the package supports."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = metadata.metadata(DISTRIBUTION)["Requires-Python"]
    if version in Requirement(f"python{supported}").specifier:
        return ok("python", version)
    text = f"{version} is not supported ({supported}); make the environment with another Python"
    return error("python", text, Unavailable)


def check_packages(requirements: list[str] | None = None) -> Finding:
    """Compare the installed packages with the ranges that the package needs. The lower limits of
    some of them exclude versions with known security faults.

    Args:
        requirements: Lines such as "pillow>=12.3"; by default those of the package.
    """
    lines = requirements or metadata.requires(DISTRIBUTION) or []
    needed = [each for each in map(Requirement, lines) if not _is_optional(each)]
    wrong = [text for each in needed if (text := _fault(each))]
    if wrong:
        text = f"{listed(wrong)}; run `make setup`"
        return error("packages", text, Unavailable)
    return ok("packages", f"all {len(needed)} that are required, in versions that work")


def _is_optional(requirement: Requirement) -> bool:
    return requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})


def _fault(requirement: Requirement) -> str | None:
    """Say how an installed package differs from what is required."""
    installed = _installed(requirement.name)
    if installed is None:
        return f"{requirement.name} is not installed"
    if requirement.specifier.contains(installed, prereleases=True):
        return None
    return f"{requirement.name} {installed} is installed, but {requirement.specifier} is required"


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_lock(lock: Path = LOCK) -> Finding:
    """Compare the installed versions with those that were tested together."""
    if not lock.is_file():
        return warning("lock", f"{lock}: no such file; the versions may not have been tested")
    lines = lock.read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==")[::2] for line in lines if "==" in line and line[0] != "#"]
    others = [
        f"{name} {installed} (not {version})"
        for name, version in pins
        if (installed := _installed(name)) is not None
        and installed.partition("+")[0] != version  # "+cpu" is a build of the same version
    ]
    if others:
        text = f"{lock}: other versions are installed: {listed(others)}; run `make setup`"
        return warning("lock", text)
    return ok("lock", f"all versions are those of {lock}, which were tested together")


def check_img2dataset() -> Finding:
    """Look for the command that fetches URLs."""
    try:
        return ok("img2dataset", str(find_img2dataset()))
    except PyramidError as fault:
        return failed("img2dataset", fault)


def check_networks(params: Params) -> Finding:
    """Look for the weights of the trained networks that the params name."""
    named = [each.network for each in params.evaluate.features]
    if params.autoencoder.perceptual is not None:
        named.append(params.autoencoder.perceptual.network)
    names = [name for name in named if name]
    missing = [variant_named(name).distribution for name in names if not is_installed(name)]
    if missing:
        text = f"not installed: {', '.join(missing)}; run `make setup`"
        return error("networks", text, Unavailable)
    return ok("networks", ", ".join(names) or "the params name none")


def check_git() -> Finding:
    """Look for git, which DVC needs, and for the project's repository."""
    if shutil.which("git") is None:
        return error("git", "not found; install it: DVC needs it", Unavailable)
    if not any((folder / ".git").exists() for folder in (Path.cwd(), *Path.cwd().parents)):
        text = "this folder is in no repository; run `git init`, or clone the project: DVC needs it"
        return error("git", text, Unavailable)
    return ok("git", "this folder is in a repository")
