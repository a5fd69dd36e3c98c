"""Sends the files of a run to MLflow."""
