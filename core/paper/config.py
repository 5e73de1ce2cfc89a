"""Settings of the paper portfolio: what a signal buys and what that costs."""

from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class PaperParams(BaseModel):
    """How an account trades.

    >>> PaperParams(size_mode="quote", size="250").size
    Decimal('250')
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cash: Annotated[
        Decimal,
        Field(gt=0, le=10**12, decimal_places=9, description="Quote asset that each account "
              "begins with."),
    ] = Decimal(10_000)  # fmt: skip
    size_mode: Annotated[
        Literal["equity", "quote", "base"],
        Field(
            description="What `size` is: a fraction of the account's equity, an amount of the "
            "quote asset, or a quantity of the base asset."
        ),
    ] = "equity"
    size: Annotated[
        Decimal, Field(gt=0, le=10**12, decimal_places=9, description="Size of a position.")
    ] = Decimal(1)
    leverage: Annotated[
        Decimal,
        Field(ge=1, le=125, decimal_places=2, description="What a position may cost at most, as "
              "a multiple of the equity."),
    ] = Decimal(1)  # fmt: skip
    fee_bps: Annotated[
        Decimal,
        Field(ge=0, le=1000, decimal_places=4, description="Fee per fill, in hundredths of a "
              "percent; Binance Spot takes 10."),
    ] = Decimal(10)  # fmt: skip
    slippage_bps: Annotated[
        Decimal,
        Field(ge=0, le=1000, decimal_places=4, description="How much worse than the price a fill "
              "is, in hundredths of a percent."),
    ] = Decimal(1)  # fmt: skip
    short: Annotated[
        bool, Field(description="Whether a short signal sells what is not held; else it closes.")
    ] = True
    fill: Annotated[
        Literal["next", "open"],
        Field(
            description="next: at the first price after the signal; open: at the open of the next "
            "kline with trades, once that kline is final."
        ),
    ] = "next"

    @model_validator(mode="after")
    def _affordable(self) -> "PaperParams":
        if self.size_mode == "equity" and self.size > self.leverage:
            raise ValueError(
                f"a size of {self.size} times the equity takes a leverage of at least {self.size}"
            )
        return self


class PaperConfig(PaperParams):
    """The settings of all accounts, and what differs for some instances."""

    enabled: Annotated[bool, Field(description="Whether there is a paper portfolio.")] = True
    instances: Annotated[
        dict[str, dict[str, Any]],
        Field(description="Settings that differ for an instance, by its name."),
    ] = {}

    @model_validator(mode="after")
    def _possible(self) -> "PaperConfig":
        for name in self.instances:
            try:
                self.of(name)
            except ValidationError as error:
                raise ValueError(f"instances.{name}: {_brief(error)}") from None
        return self

    def of(self, instance: str) -> PaperParams:
        """Return how an instance's accounts trade.

        >>> config = PaperConfig(cash=500, instances={"calm": {"size": "0.1"}})
        >>> config.of("calm").size, config.of("calm").cash, config.of("bold").size
        (Decimal('0.1'), Decimal('500'), Decimal('1'))
        """
        common = {name: getattr(self, name) for name in PaperParams.model_fields}
        return PaperParams.model_validate(common | self.instances.get(instance, {}))


def _brief(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] != "extra_forbidden":
        said = first["msg"].removeprefix("Value error, ")
        return f"{where}: {said}" if where else said
    near = get_close_matches(where, PaperParams.model_fields, 1)
    all_ = " ".join(PaperParams.model_fields)
    known = f"did you mean `{near[0]}`?" if near else f"known are {all_}"
    return f"there is no `{where}`; {known}"
