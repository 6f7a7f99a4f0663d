"""MoGe-2 (Wang et al. 2025)."""
