"""The data report: one HTML page that shows curation's decisions and their reasons."""
