"""Presents scores as charts, tables and pages."""
