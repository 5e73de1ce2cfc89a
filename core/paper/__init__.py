"""The paper portfolio: what signals would have earned, in exact numbers. Pure."""
