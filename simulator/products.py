"""What the exchange looks like from outside, by product: addresses, streams, REST."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from simulator.rest import Rest
from simulator.session import Target, parse_target
from simulator.streams import Channels
from simulator.usdm.rest import UsdmRest
from simulator.usdm.streams import MARKET, ROUTES, DeafChannels, UsdmChannels, parse_usdm_target


@dataclass(frozen=True, slots=True)
class Product:
    """One of Binance's products.

    Attributes:
        rest_path: What the paths of its REST API begin with.
        rest: Answers REST requests.
        route: What the address of its market data begins with.
        target: Reads the URL of a handshake; None for one that leads nowhere.
        channels: Streams by the route of a connection.

    """

    rest_path: str
    rest: type[Rest]
    route: str
    target: Callable[[str], Target | None]
    channels: Mapping[str, type[Channels]]


PRODUCTS: Final = {
    "spot": Product("/api/", Rest, "", parse_target, {"": Channels}),
    "usdm": Product(
        "/fapi/",
        UsdmRest,
        MARKET,
        parse_usdm_target,
        dict.fromkeys(("", *ROUTES), DeafChannels) | {MARKET: UsdmChannels},
    ),
}
