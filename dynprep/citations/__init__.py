"""What to cite for what a run used."""
