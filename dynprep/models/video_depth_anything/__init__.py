"""Video Depth Anything (Chen et al. 2025)."""
