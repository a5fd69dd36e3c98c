import os

# As `pdm.cli.main` does, and before any test imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
