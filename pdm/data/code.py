"""Names a version of some code, so that what older code left behind is not taken for its result."""

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

# What turns bytes into pixels and back; another release of one may give other bits.
LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "simplejpeg", "torch")


def code_version(modules: Iterable[str]) -> str:
    """Hex digest of the sources of modules, by their full names, and the versions of `LIBRARIES`.

    A change that alters no result, of a comment say, gives another version all the same: it costs
    a computation, where a forgotten number would cost the truth.
    """
    digest = hashlib.sha256()
    for name in sorted(modules):
        spec = find_spec(name)
        assert spec is not None, name
        digest.update(hashlib.sha256(Path(str(spec.origin)).read_bytes()).digest())
    for name in LIBRARIES:
        digest.update(f"{name} {version(name)}\n".encode())
    return digest.hexdigest()
