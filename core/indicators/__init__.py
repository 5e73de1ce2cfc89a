"""Indicators: numbers in, one at a time; a value out as soon as it is known. One class per file."""
