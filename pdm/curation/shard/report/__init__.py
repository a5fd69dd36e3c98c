"""The data report: one HTML page that shows every decision and its reason."""
