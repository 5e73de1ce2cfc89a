"""``exchangeInfo``: what trades, on which grids, under which limits."""

from decimal import Decimal
from typing import Any

from simulator.market import Listing

_MAX_QUANTITY = Decimal(9000000000)


def exchange_info(
    listings: list[Listing], server_time: int, weight_limit: int | None, *, now_us: int
) -> dict[str, Any]:
    """Return the answer as Binance builds it (rest-api.md, "Exchange information")."""
    weight = {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": weight_limit,
    }
    raw = {
        "rateLimitType": "RAW_REQUESTS",
        "interval": "MINUTE",
        "intervalNum": 5,
        "limit": 300_000,
    }
    return {
        "timezone": "UTC",
        "serverTime": server_time,
        "rateLimits": [raw] if weight_limit is None else [weight, raw],
        "exchangeFilters": [],
        "symbols": [_symbol(listing, now_us) for listing in listings],
    }


def _symbol(listing: Listing, now_us: int) -> dict[str, Any]:
    return {
        "symbol": listing.symbol,
        "status": listing.statuses.at(now_us),
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(listing),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": ["NONE"],
    }


def _filters(listing: Listing) -> list[dict[str, Any]]:
    tick, step = f"{listing.tick:.8f}", f"{listing.step:.8f}"
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": f"{listing.tick * 10**8:.8f}",
            "tickSize": tick,
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": step,
            "maxQty": f"{_MAX_QUANTITY:.8f}",
            "stepSize": step,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": tick,
            "applyMinToMarket": False,
            "maxNotional": f"{_MAX_QUANTITY:.8f}",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
    ]
