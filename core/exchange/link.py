"""One connection as the session sees it: what was asked of it, and what it has given."""

from core.exchange import wire
from core.exchange.requests import Hangup, Request, Send
from core.exchange.states import STREAM_TRANSITIONS, TRANSITIONS, LinkState, StreamState

SECOND_US = 1_000_000
ACK_DEADLINE_US = 5 * SECOND_US
"""Normal answers take 0.3 s; one that takes this long is lost."""


class Link:
    """A link from its opening to its end.

    Attributes:
        number: Of the connection within the run.
        state: Where it stands.
        streams: State of each subscription.
        opened_us: Our clock when it opened.
        silent: Symbols whose stream has yet to give data, since the start or since it went stale.
        spoke: Whether any stream has ever given data.

    """

    def __init__(self, number: int, opened_us: int) -> None:
        self.number = number
        self.state = LinkState.DOWN
        self.streams: dict[str, StreamState] = {}
        self.opened_us = opened_us
        self.silent: set[str] = set()
        self.spoke = False
        self._asked: dict[int, list[str]] = {}

    def move(self, event: str) -> bool:
        """Take a transition; False if there is none from here."""
        to = TRANSITIONS.get((self.state, event))
        if to is None:
            return False
        self.state = to
        return True

    def subscribe(self, streams: list[str], first_request: int) -> list[Send]:
        """Ask for streams; requests are numbered from `first_request` on."""
        sends: list[Send] = []
        for part in wire.chunks(streams):
            request = first_request + len(sends)
            self._asked[request] = part
            self.streams |= dict.fromkeys(part, StreamState.REQUESTED)
            self.silent |= {_symbol(name) for name in part if "@kline_" not in name}
            sends.append(Send(self.number, wire.subscribe(part, request)))
        return sends

    def renew(self, name: str, first_request: int) -> list[Send]:
        """Cancel a stream and ask for it again, because it has gone silent."""
        self._asked[first_request] = []
        cancel = Send(self.number, wire.unsubscribe([name], first_request))
        return [cancel, *self.subscribe([name], first_request + 1)]

    def cancel(self, streams: list[str], first_request: int) -> list[Send]:
        """Give up streams."""
        sends: list[Send] = []
        for part in wire.chunks(streams):
            request = first_request + len(sends)
            self._asked[request] = []
            sends.append(Send(self.number, wire.unsubscribe(part, request)))
        for name in streams:
            self.streams.pop(name, None)
            self.silent.discard(_symbol(name))
        return sends

    @property
    def ack_allowance_us(self) -> int:
        """How long all open requests together may take: they go out half a second apart."""
        return ACK_DEADLINE_US + len(self._asked) * SECOND_US // 2

    @property
    def unanswered(self) -> bool:
        """Whether a request is open."""
        return bool(self._asked)

    def answered(self, request: object) -> bool:
        """Take the answer to a request; False if nobody asked."""
        if not isinstance(request, int) or request not in self._asked:
            return False
        for name in self._asked.pop(request):
            self._turn(name, "acked")
        return True

    def gave(self, symbol: str, stream: str) -> None:
        """Note data of a symbol that was silent."""
        self.silent.discard(symbol)
        self.spoke = True
        self._turn(stream, "data")

    def stale(self, symbol: str, stream: str) -> None:
        """Note that a stream is silent though it should not be."""
        self.silent.add(symbol)
        self._turn(stream, "silent")

    def fail(self, reason: str) -> list[Request]:
        """Give the link up."""
        return [Hangup(self.number, reason)] if self.move("failed") else []

    def _turn(self, name: str, event: str) -> None:
        state = self.streams.get(name)
        if state is not None:
            self.streams[name] = STREAM_TRANSITIONS.get((state, event), state)


def _symbol(stream: str) -> str:
    return stream.partition("@")[0].upper()
