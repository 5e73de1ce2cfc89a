"""Measurements against the design's budgets; each says what it did, on what and when."""
