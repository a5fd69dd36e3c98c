"""A thread beside the training must not slow it down."""

import os
import subprocess
import sys

import torch

from pdm.machine.threads import side_thread


def test_a_side_thread_computes_alone_and_the_others_keep_their_number_of_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with side_thread("loader") as pool:
            assert torch.get_num_threads() == 2
            torch.ones(1 << 20).sum()  # would give a new thread torch's number of threads
            pool.submit(lambda: torch.ones(1 << 20).sum()).result()
            assert pool.submit(torch.get_num_threads).result() == 1
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_command_line_sets_how_long_threads_spin_unless_the_user_did():
    script = "import os; from pdm.cli import main; main(['preset']); "
    script += "print(os.environ.get('GOMP_SPINCOUNT'))"
    plain = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    for own, expected in (
        ({}, "50000"),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "None"),
    ):
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, env=plain | own, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == expected
