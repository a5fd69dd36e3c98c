"""The parts of `benchmarks/gpu.py`. They need torch, numpy, safetensors and einops only."""
