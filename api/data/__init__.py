"""What was recorded and what goes on, as one: the lake and Redis, joined without a seam."""
