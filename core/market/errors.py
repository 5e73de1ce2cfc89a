"""Every error of the project. Each stores its data and builds its text in ``__str__``.

    CryptoToolsError
    ├── MarketError               the data: what was given cannot be what it claims to be
    │   ├── DecimalError          a text that is no plain decimal, or one out of range
    │   ├── IntervalError         an interval that Binance does not have
    │   ├── SymbolError           a symbol that cannot be one
    │   ├── WireError             a frame or REST answer that cannot be understood
    │   └── FileError             a data file: names file, line and value
    ├── ConfigError               a setting: names the key, the value and the way out
    ├── StrategyError             a strategy or its parameters
    ├── ModelError                a model, its version or its features
    ├── SnapshotError             a snapshot of another version or class
    └── ServiceError              something outside (Redis, disk, exchange) is not usable

What an exchange sends wrong is an *event* (`core.market.events.Quarantined`); these exceptions
are for what we, or the user, got wrong.
"""


class CryptoToolsError(Exception):
    """Base of all: the CLI prints its text in one line and exits with `exit_code`."""

    exit_code = 1


class MarketError(CryptoToolsError, ValueError):
    """The data cannot be what it claims to be."""


class DecimalError(MarketError):
    """A text that is no plain decimal, or one out of range."""

    def __init__(self, text: object, why: str) -> None:
        self.text, self.why = text, why

    def __str__(self) -> str:
        return f"not a usable decimal: `{self.text}` ({self.why})"


class IntervalError(MarketError):
    """An interval that Binance does not have."""

    def __init__(self, text: object, known: tuple[str, ...]) -> None:
        self.text, self.known = text, known

    def __str__(self) -> str:
        return f"unknown interval `{self.text}`; known are {' '.join(self.known)} (case matters)"


class SymbolError(MarketError):
    """A symbol that cannot be one."""

    def __init__(self, text: object, why: str) -> None:
        self.text, self.why = text, why

    def __str__(self) -> str:
        return f"not a symbol: `{self.text}` ({self.why})"


class WireError(MarketError):
    """A frame or an answer of the exchange that cannot be understood."""

    def __init__(self, why: str, payload: str = "") -> None:
        self.why, self.payload = why, payload

    def __str__(self) -> str:
        return f"{self.why}: `{self.payload[:120]}`" if self.payload else self.why


class FileError(MarketError):
    """A data file: names the file, the line (0 = the file as a whole) and the value."""

    def __init__(self, path: object, why: str, *, line: int = 0, value: str = "") -> None:
        self.path, self.why, self.line, self.value = str(path), why, line, value

    def __str__(self) -> str:
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.why}" + (f": `{self.value[:120]}`" if self.value else "")


class ConfigError(CryptoToolsError):
    """A setting: names the key, the value and the way out."""

    exit_code = 2

    def __init__(self, key: str, why: str, *, hint: str = "") -> None:
        self.key, self.why, self.hint = key, why, hint

    def __str__(self) -> str:
        return f"setting `{self.key}`: {self.why}" + (f"\nhint: {self.hint}" if self.hint else "")


class StrategyError(CryptoToolsError):
    """A strategy or its parameters."""

    exit_code = 2

    def __init__(self, name: str, why: str, *, hint: str = "") -> None:
        self.name, self.why, self.hint = name, why, hint

    def __str__(self) -> str:
        return f"strategy `{self.name}`: {self.why}" + (f"\nhint: {self.hint}" if self.hint else "")


class ModelError(CryptoToolsError):
    """A model: names it, what is wrong with it, and the way out."""

    exit_code = 2

    def __init__(self, name: str, why: str, *, hint: str = "") -> None:
        self.name, self.why, self.hint = name, why, hint

    def __str__(self) -> str:
        return f"model `{self.name}`: {self.why}" + (f"\nhint: {self.hint}" if self.hint else "")


class SnapshotError(CryptoToolsError):
    """A snapshot of another version or class than the one that should read it."""

    def __init__(self, what: str, found: object, expected: object) -> None:
        self.what, self.found, self.expected = what, found, expected

    def __str__(self) -> str:
        return f"snapshot of {self.what} is `{self.found}`, expected `{self.expected}`"


class ServiceError(CryptoToolsError):
    """Something outside (Redis, disk, exchange, port) is not usable: names it and the way out."""

    exit_code = 3

    def __init__(self, service: str, why: str, *, hint: str = "") -> None:
        self.service, self.why, self.hint = service, why, hint

    def __str__(self) -> str:
        return f"{self.service}: {self.why}" + (f"\nhint: {self.hint}" if self.hint else "")
