"""Strategies: klines in, signals out. Pure: no clock, no dice, no I/O (but for loading files)."""
