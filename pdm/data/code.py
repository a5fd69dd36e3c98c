"""Computes a version of code, so that cached results of other versions are not used."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec, resolve_name
from pathlib import Path

# They decode, encode or compute pixels; another release may give other bits.
LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "simplejpeg", "torch")

CAN_HAVE_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def code_version(modules: Iterable[str]) -> str:
    """Hex digest of what modules compute, by their full names, and of the versions of `LIBRARIES`.

    Comments, docstrings and layout do not count. Any other change gives another version, even one
    that alters no result: it costs a computation, but a version number that somebody forgets to
    raise would give wrong results.
    """
    digest = hashlib.sha256()
    for name in sorted(modules):
        digest.update(f"{name} {_digest_of_code(_path(name).read_bytes())}\n".encode())
    for name in LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    return digest.hexdigest()


def modules_behind(*roots: str, leave_out: Iterable[str] = ()) -> list[str]:
    """`roots` and all modules of their package that they import, directly or through others.

    Args:
        roots: Full names of modules. They are read, not imported.
        leave_out: Modules, or packages with all their modules, that are left out.

    Returns:
        Full names, sorted.
    """
    skipped = tuple(leave_out)
    modules: set[str] = set()
    to_visit = list(roots)
    while to_visit:
        name = to_visit.pop()
        if name in modules or any(name == each or name.startswith(f"{each}.") for each in skipped):
            continue
        modules.add(name)
        to_visit += _imported_by(name)
    return sorted(modules)


def _imported_by(name: str) -> Iterator[str]:
    """Modules of the same package that a module imports, at any place in its code. If it imports
    modules from a package, only these count, not the package itself."""
    path = _path(name)
    parent = name if path.name == "__init__.py" else name.rpartition(".")[0]
    package = f"{name.partition('.')[0]}."
    for node in ast.walk(ast.parse(path.read_bytes())):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            origin = resolve_name("." * node.level + (node.module or ""), parent)
            parts = (f"{origin}.{alias.name}" for alias in node.names)
            targets = [
                part if part.startswith(package) and _path(part).exists() else origin
                for part in parts
            ]
        yield from (target for target in targets if target.startswith(package))


def _path(name: str) -> Path:
    """The path of a module's source; it need not exist."""
    package, *parts = name.split(".")
    spec = find_spec(package)
    assert spec is not None, package
    assert spec.origin is not None, package
    if not parts:
        return Path(spec.origin)
    path = Path(spec.origin).parent.joinpath(*parts)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@lru_cache(maxsize=1024)
def _digest_of_code(source: bytes) -> str:
    """Digest of the syntax tree, which has no comments and no layout, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if (
            isinstance(node, CAN_HAVE_DOCSTRING)
            and ast.get_docstring(node, clean=False) is not None
        ):
            del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
