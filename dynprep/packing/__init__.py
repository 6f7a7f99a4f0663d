"""Tracks in one compressed file a query frame, for archives and transfer."""
