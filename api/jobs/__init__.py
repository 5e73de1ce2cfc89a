"""Replays and back-tests as processes of their own: what the API knows and does of them."""
