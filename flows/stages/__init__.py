"""The stages of dvc.yaml: their order, which are stale and why, and running one."""
