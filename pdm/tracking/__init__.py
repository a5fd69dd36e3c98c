"""Tracking with MLflow, the only package that imports it.

`track` logs the work of a stage, `sync` sends later what could not be sent, and `reader` reads runs
back. MLflow takes seconds to import, so nothing is imported here.
"""
