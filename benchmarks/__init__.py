"""Measurements: each claim of speed is printed by one of these, both sides in one run."""
