"""Depth Anything 3 (Lin et al. 2025)."""
