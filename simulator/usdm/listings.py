"""``exchangeInfo`` of USD-M: contracts, their precisions and filters, the limits."""

from decimal import Decimal
from typing import Any, Final

from simulator.market import Listing
from simulator.usdm.wire import places, precision

_NEVER_MS: Final = 4_133_404_800_000
"""Delivery date of contracts that are never delivered: 25 December 2100."""
_ONBOARD_MS: Final = 1_569_398_400_000
_MAX_QUANTITY: Final = Decimal(10_000_000)


def exchange_info(listings: list[Listing], now_us: int, weight_limit: int | None) -> dict[str, Any]:
    """Return the answer as the derivatives documentation shows it ("Exchange Information")."""
    limits = [("ORDERS", "MINUTE", 1, 1200), ("ORDERS", "SECOND", 10, 300)]
    if weight_limit is not None:
        limits.insert(0, ("REQUEST_WEIGHT", "MINUTE", 1, weight_limit))
    names = ("rateLimitType", "interval", "intervalNum", "limit")
    quotes = dict.fromkeys(listing.quote for listing in listings)
    return {
        "timezone": "UTC",
        "serverTime": now_us // 1000,
        "futuresType": "U_MARGINED",
        "rateLimits": [dict(zip(names, limit, strict=True)) for limit in limits],
        "exchangeFilters": [],
        "assets": [
            {"asset": quote, "marginAvailable": True, "autoAssetExchange": "-10000"}
            for quote in quotes
        ],
        "symbols": [_symbol(listing, now_us) for listing in listings],
    }


def _symbol(listing: Listing, now_us: int) -> dict[str, Any]:
    shown = precision(listing)
    return {
        "symbol": listing.symbol,
        "pair": listing.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _NEVER_MS,
        "onboardDate": _ONBOARD_MS,
        "status": listing.statuses.at(now_us),
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": listing.base,
        "quoteAsset": listing.quote,
        "marginAsset": listing.quote,
        "pricePrecision": shown.price,
        "quantityPrecision": shown.quantity,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10_000,
        "filters": _filters(listing),
        "orderTypes": [
            "LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }  # fmt: skip


def _filters(listing: Listing) -> list[dict[str, Any]]:
    # The grid as its digits, without trailing zeros: "0.10", not "0.10000000".
    tick, step = (f"{grid:.{places(grid)}f}" for grid in (listing.tick, listing.step))
    lot = {"minQty": step, "maxQty": f"{_MAX_QUANTITY}", "stepSize": step}
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": f"{listing.tick * 10**8:f}",
            "tickSize": tick,
        },
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
        {"filterType": "MIN_NOTIONAL", "notional": "5"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.0500",
            "multiplierDown": "0.9500",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]
