"""What flows: trades, klines, signals, events, and how each is written down."""
