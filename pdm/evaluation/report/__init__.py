"""Scores as charts, tables and pages for people."""
