"""AllTracker (Harley et al. 2025): tracks of every pixel of a query frame through a clip."""
