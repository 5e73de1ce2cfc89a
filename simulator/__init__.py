"""A local exchange that speaks Binance Spot's protocol, and goes wrong on command."""
