"""Predictions of a model → signals, by thresholds."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, model_validator

from core.market.kline import Kline
from core.market.ml import Prediction
from core.market.signal import Side, Signal
from strategies.base import Strategy
from strategies.params import StrategyParams


class MlStrategy(Strategy):
    """Long while a model's prediction is high enough, flat or short while it is low enough.

    A prediction of at least `long_above`: long. With `short`, at most `short_below`: short. A
    position is left when the prediction comes back by `margin`. Without a prediction nothing
    changes, unless `flat_without`. Thresholds are in the model's own unit: a probability, or a
    return.

    Source: none; thresholds on a score are the plainest rule there is.
    """

    name = "ml"
    state = ("side", "value", "reason", "at_us", "said_by")

    class Params(StrategyParams):
        """Parameters of `MlStrategy`."""

        model: Annotated[
            str, Field(description="Name of the model, as in `ml.models`; unset: whichever runs.")
        ] = ""
        long_above: Annotated[
            float, Field(ge=-10, le=10, description="Prediction from which on it is long.")
        ] = 0.55
        short: Annotated[bool, Field(description="Also short where the prediction is low.")] = False
        short_below: Annotated[
            float, Field(ge=-10, le=10, description="Prediction up to which it is short.")
        ] = 0.45
        margin: Annotated[
            float,
            Field(ge=0, le=10, description="How far a prediction must come back to be left."),
        ] = 0.0
        flat_without: Annotated[
            bool, Field(description="Leave the position where there is no prediction.")
        ] = False

        @model_validator(mode="after")
        def _apart(self) -> "MlStrategy.Params":
            if self.short and self.short_below + self.margin >= self.long_above - self.margin:
                raise ValueError("short_below must be below long_above by more than two margins")
            return self

    params: Params

    def setup(self, _params: Params) -> None:
        """Begin flat, with no prediction."""
        self.side = Side.FLAT.value
        self.value: float | None = None
        self.reason, self.said_by = "", ""
        self.at_us = -1

    def predicted(self, prediction: Prediction) -> None:
        """Keep the model's newest prediction; those of shadows are none of ours."""
        if not prediction.shadow and self.params.model in ("", prediction.model):
            self.value, self.reason = prediction.value, prediction.reason
            self.at_us = prediction.open_us
            self.said_by = f"{prediction.model} {prediction.version}".strip()

    def on_kline(self, kline: Kline) -> Iterable[Signal]:
        """Return a signal where the prediction for this kline wants another position."""
        value = self.value if self.at_us == kline.open_us else None
        side = self._wanted(value)
        if side == self.side:
            return
        self.side = side
        said = self.said_by
        if value is None:
            yield self.flat(kline, f"no prediction: {self._why(kline)}")
        elif side == Side.LONG.value:
            why = f"{said} says {value:.6g}, at least {self.params.long_above:g}"
            yield self.long(kline, why, prediction=value)
        elif side == Side.SHORT.value:
            why = f"{said} says {value:.6g}, at most {self.params.short_below:g}"
            yield self.short(kline, why, prediction=value)
        else:
            yield self.flat(kline, f"{said} says {value:.6g}, neither", prediction=value)

    def _why(self, kline: Kline) -> str:
        return self.reason if self.at_us == kline.open_us else "it said nothing"

    def _wanted(self, value: float | None) -> str:
        p = self.params
        if value is None:
            return Side.FLAT.value if p.flat_without else self.side
        if value >= p.long_above:
            return Side.LONG.value
        if p.short and value <= p.short_below:
            return Side.SHORT.value
        if self.side == Side.LONG.value and value > p.long_above - p.margin:
            return self.side
        if self.side == Side.SHORT.value and value < p.short_below + p.margin:
            return self.side
        return Side.FLAT.value
