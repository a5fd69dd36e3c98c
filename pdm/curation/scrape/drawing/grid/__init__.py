"""Fields and noise: what pictures are computed with."""
