"""The project's own code at an earlier commit, as a peer."""

import io
import subprocess
import tarfile
from pathlib import Path

from benchmarks.common import ROOT


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
