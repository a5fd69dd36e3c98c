"""Runs the DVC graph under Prefect: schedule, order, and handling of failures."""
