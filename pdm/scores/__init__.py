"""Names of scores, and the six to look at first."""
