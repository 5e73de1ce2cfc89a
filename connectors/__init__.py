"""Everything that touches the outside: sources, sinks, and the drivers behind them."""
