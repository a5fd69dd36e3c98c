"""The checkout: its folder, its commit, and its code at an earlier commit, as a peer."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commit() -> str:
    """The commit that is checked out, with a plus if files differ from it; "?" without git."""
    if shutil.which("git") is None:
        return "?"
    found = _git("rev-parse", "--short=12", "HEAD")
    return (found or "?") + ("+" if _git("status", "-s") else "")


def unpack_commit(commit: str, folder: Path, *paths: str) -> None:
    """Write files and folders of a commit below a folder.

    Raises:
        SystemExit: The repository does not have the commit.
    """
    command = ["git", "-C", str(ROOT), "archive", commit, *paths]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise SystemExit(
            f"error: no commit {commit} to compare with ({reason}); fetch the whole history"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def _git(*words: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()
