"""UniDepth V2 (Piccinelli et al. 2025): metric depth and intrinsics of one image."""
