"""What each command measures: the parts of `benchmarks/NAME.py` are modules in `parts/NAME`."""
