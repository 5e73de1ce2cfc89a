"""USD-M futures: what they do otherwise than Spot, over the same market.

tape      trade ids with holes, aggregates over 100 ms
wire      payloads and rows: fields, decimals
streams   names, routes, and what a wrong route does
listings  exchangeInfo
rest      endpoints, weights, limits
"""
