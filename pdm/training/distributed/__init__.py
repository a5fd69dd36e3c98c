"""Distributed training: launchers, process groups, sharded weights."""
