"""What a GPU does with the networks: right numbers, limits, speed. ``python -m benchmarks.gpu``."""
