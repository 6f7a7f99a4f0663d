"""Whether a recipe works on this machine: its packages, its devices, its weights, its networks."""
