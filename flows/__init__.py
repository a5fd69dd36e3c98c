"""Runs the DVC graph under Prefect: when, in what order, and what happens if a stage fails.

Knows DVC's graph and the command line, never what a stage computes.
"""
