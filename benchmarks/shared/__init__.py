"""What the benchmarks share: their command line, timing, ratios and tables."""
