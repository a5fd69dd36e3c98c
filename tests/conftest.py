import os

# Tests run in two processes on two cores: threads that wait must not spin at all.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_collection_modifyitems(items):
    """The longest files first: of two processes, neither then waits for the other's last file."""
    longest = ("tests/pipeline", "tests/inference/test_interrupted_training", "tests/flows")
    items.sort(key=lambda item: not item.nodeid.startswith(longest))
