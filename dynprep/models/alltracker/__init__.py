"""AllTracker (Harley et al. 2025): dense tracks of every pixel of a query frame."""
