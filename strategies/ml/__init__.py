"""Features, models and what is known of them: pure, the same in the flow and in training."""
