"""A second paper portfolio: fractions, one dictionary per account, no cleverness."""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil, floor
from typing import Any

from core.market.events import InstanceChanged
from core.market.kline import Kline
from core.market.paper import Equity, Fill
from core.market.signal import Signal
from core.market.trades import Trades
from core.paper.config import PaperConfig
from tests.core.paper.stream import Item

Row = tuple[Any, ...]
SIDES = {"long": 1, "short": -1, "flat": 0}


def plain(row: Fill | Equity) -> Row:
    """Return a row of ours as the oracle gives it."""
    amounts: Row
    if isinstance(row, Fill):
        amounts = (
            row.price,
            row.quantity,
            row.fee,
            row.position,
            row.entry,
            row.realised,
            row.cash,
        )
        what: Row = ("fill", row.side, row.signal_seq)
    else:
        amounts = (row.price, row.position, row.cash, row.equity, row.realised, row.unrealised,
                   row.fees, row.peak)  # fmt: skip
        what = ("equity", row.interval, row.fills)
    return (*what, row.instance, row.strategy, row.time_us, *map(Fraction, amounts))


def oracle(items: Iterable[Item], config: PaperConfig) -> list[Row]:
    """Return the rows that a portfolio gives."""
    world = World(config)
    for item in items:
        world.take(item)
    return world.rows


class World:
    """All accounts, looked at from scratch each time."""

    def __init__(self, config: PaperConfig) -> None:
        self.config = config
        self.rows: list[Row] = []
        self.accounts: dict[str, dict[str, Any]] = {}
        self.gone: list[dict[str, Any]] = []  # what removed accounts were, for the total
        self.orders: list[dict[str, Any]] = []
        self.places = 0
        self.best = Fraction(0)
        self.news = False

    def take(self, item: Item) -> None:
        """Take one item."""
        if isinstance(item, Trades):
            for time_us, price, quantity in zip(
                item.time_us, item.price, item.quantity, strict=True
            ):
                if price and quantity:
                    self.trade(int(time_us), Fraction(int(price), 10**item.price_scale))
        elif isinstance(item, Kline) and not item.revision:
            self.kline(item)
        elif isinstance(item, Signal):
            self.signal(item)
        elif isinstance(item, InstanceChanged) and item.instance in self.accounts:
            self.accounts[item.instance]["ending"] = True
            self.target(item.instance, 0, item.time_us)
            self.bury()

    def signal(self, said: Signal) -> None:
        name, target = said.instance, SIDES[said.side.value]
        target = 0 if target < 0 and not self.config.of(name).short else target
        if name not in self.accounts:
            if target == 0:
                return
            cash, nothing = Fraction(self.config.of(name).cash), Fraction(0)
            self.accounts[name] = {
                "name": name, "start": cash, "cash": cash, "position": nothing, "paid": nothing,
                "realised": nothing, "fees": nothing, "peak": cash, "fills": 0, "news": False,
                "stopped": False,
            }  # fmt: skip
        account = self.accounts[name]
        if account["stopped"]:
            return
        account |= {"strategy": said.strategy, "interval": said.interval.name, "ending": False,
                    "seq": said.seq}  # fmt: skip
        self.target(name, target, said.close_us)

    def target(self, name: str, target: int, after_us: int) -> None:
        self.orders = [o for o in self.orders if o["name"] != name]
        position = self.accounts[name]["position"]
        held = 1 if position > 0 else -1 if position < 0 else 0
        if held != target:
            self.orders.append(
                {"name": name, "target": target, "after": after_us, "places": self.places}
            )

    def trade(self, time_us: int, price: Fraction) -> None:
        for order in list(self.orders):
            if self.config.of(order["name"]).fill == "next" and time_us > order["after"]:
                self.fill(order, price, time_us)

    def kline(self, item: Kline) -> None:
        for order in list(self.orders):
            same = self.accounts[order["name"]]["interval"] == item.interval.name
            traded = item.trades or item.volume_units
            if same and traded and item.open_us > order["after"]:
                self.fill(order, Fraction(item.open_units, 10**item.price_scale), item.open_us)
        self.places = max(self.places, item.quantity_scale)
        price = Fraction(item.close_units, 10**item.price_scale)
        for account in list(self.accounts.values()):
            if account.get("interval") == item.interval.name:
                self.close(account, item, price)
        if item.interval.name == "1m":
            self.total(item, price)
        self.bury()

    def close(self, account: dict[str, Any], item: Kline, price: Fraction) -> None:
        if not account["position"] and not account["news"]:
            return
        if account["cash"] + account["position"] * price <= 0:
            self.target(account["name"], 0, item.close_us)
            for order in [o for o in self.orders if o["name"] == account["name"]]:
                self.fill(order, price, item.close_us)
            account["stopped"] = True
        equity = account["cash"] + account["position"] * price
        account["peak"] = max(account["peak"], equity)
        account["news"] = False
        open_profit = account["position"] * (price - account["paid"])
        self.rows.append(
            ("equity", item.interval.name, account["fills"], account["name"], account["strategy"],
             item.close_us, price, account["position"], account["cash"], equity,
             account["realised"], open_profit, account["fees"], account["peak"])
        )  # fmt: skip

    def total(self, item: Kline, price: Fraction) -> None:
        traded = [a for a in (*self.gone, *self.accounts.values()) if a["fills"]]
        position = sum((a["position"] for a in traded), Fraction(0))
        if not position and not self.news:
            return
        self.news = False
        cash, realised, fees, start = (
            sum((a[name] for a in traded), Fraction(0))
            for name in ("cash", "realised", "fees", "start")
        )
        open_profit = sum((a["position"] * (price - a["paid"]) for a in traded), Fraction(0))
        self.best = max(self.best, realised + open_profit - fees)
        self.rows.append(
            ("equity", "1m", sum(a["fills"] for a in traded), "*", "", item.close_us, price,
             position, cash, cash + position * price, realised, open_profit, fees,
             start + self.best)
        )  # fmt: skip

    def fill(self, order: dict[str, Any], price: Fraction, time_us: int) -> None:
        self.orders.remove(order)
        account, params = self.accounts[order["name"]], self.config.of(order["name"])
        old, target = account["position"], order["target"]
        buys = target > 0 or (target == 0 and old < 0)
        slip = Fraction(params.slippage_bps) / 10_000
        paid = (
            up(price * (1 + slip), 9)
            if buys
            else max(Fraction(1, 10**9), down(price * (1 - slip), 9))
        )
        rate = Fraction(params.fee_bps) / 10_000
        equity = account["cash"] + old * paid - up(abs(old) * paid * rate, 18)
        wanted = {
            "equity": equity * Fraction(params.size) / paid,
            "quote": Fraction(params.size) / paid,
            "base": Fraction(params.size),
        }[params.size_mode]
        most = equity * Fraction(params.leverage) / (paid * (1 + rate))
        quantity = (
            max(Fraction(0), down(min(wanted, most), order["places"])) if target else Fraction(0)
        )
        new = target * quantity
        if new == old:
            return
        fee = up(abs(new - old) * paid * rate, 18)
        realised = old * (paid - account["paid"])
        account["cash"] -= (new - old) * paid + fee
        account["position"], account["paid"] = new, paid if new else Fraction(0)
        account["realised"] += realised
        account["fees"] += fee
        account["fills"] += 1
        account["news"] = self.news = True
        self.rows.append(
            ("fill", "buy" if new > old else "sell", account["seq"], account["name"],
             account["strategy"], time_us, paid, abs(new - old), fee, new, account["paid"],
             realised, account["cash"])
        )  # fmt: skip

    def bury(self) -> None:
        for name, account in list(self.accounts.items()):
            if account.get("ending") and not account["position"] and not account["news"]:
                self.gone.append(self.accounts.pop(name))


def up(value: Fraction, places: int) -> Fraction:
    """Round up."""
    return Fraction(ceil(value * 10**places), 10**places)


def down(value: Fraction, places: int) -> Fraction:
    """Round down."""
    return Fraction(floor(value * 10**places), 10**places)
