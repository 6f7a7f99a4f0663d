"""Runs side by side: what differs, what it cost, how good it is, how far they agree."""
