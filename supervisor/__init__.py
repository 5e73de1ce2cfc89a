"""Keeps a live flow running on one machine, and says how it is."""
