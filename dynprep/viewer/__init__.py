"""What pages are made of: layers of frames, a player, curves, a view in 3D. Nothing here knows of runs."""
