"""What a command for an instance of a strategy means: what is to be told, to whom.

Asked by each shard of a source, which passes the answer on to its symbols in the order of their
data, with the klines that the instance needs to begin where one that ran from the start would be.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import ValidationError

from config.settings import Settings
from connectors.binance.subscriptions import Passed, Planner
from core.control import CONFIGURED, InstanceCommand
from core.exchange.plan import EVERY, Standing, Tell
from core.market.errors import ConfigError, ModelError, StrategyError
from dataflows.ml import MlPlan
from dataflows.ml_commands import ModelPlanner
from strategies.base import Strategy
from strategies.registry import REGISTRY, Registry
from strategies.spec import InstanceSpec, Wanted

_MOST_KLINES = 20_000


class _Meant(NamedTuple):
    spec: InstanceSpec
    state: Literal["running", "paused", "removed"]
    stopped: bool = False


class InstancePlanner:
    """Reads commands against what the settings say and what was commanded before.

    Args:
        configured: The instances of the settings.
        intervals: Names of the intervals whose klines are built.
        registry: Where strategies are found.

    """

    def __init__(
        self,
        configured: tuple[InstanceSpec, ...],
        intervals: tuple[str, ...],
        registry: Registry = REGISTRY,
    ) -> None:
        self._configured = {spec.instance: spec for spec in configured}
        self._intervals = intervals
        self._registry = registry

    def __call__(self, command: InstanceCommand, standing: Mapping[str, Standing]) -> Tell:
        """Return what is to be told.

        Raises:
            StrategyError, ConfigError: It cannot be obeyed.

        """
        name = command.instance
        told = standing.get(name)
        now = Wanted.model_validate_json(told.payload) if told else self._from_settings(name)
        _as_expected(command, now)
        spec, state, stopped = self._meant(command, now)
        configured = self._configured.get(name)
        code = now.code if now else ""
        if command.action in ("add", "update", "start"):
            code = self._registry.reread(spec.name)
        wanted = Wanted(
            command=command.id, spec=spec, state=state, stopped=stopped,
            configured=configured, code=code,
        )  # fmt: skip
        # One that the settings have is told everywhere: where it is not to run, it must go.
        message = Standing(
            symbols=spec.watched if configured is None else (EVERY,),
            payload=wanted.model_dump_json(),
            klines={} if state == "removed" else self._klines(spec),
        )
        kept = state != "removed" or stopped or configured is not None
        return Tell(name, message, lasting=kept)

    def _from_settings(self, name: str) -> Wanted | None:
        spec = self._configured.get(name)
        return None if spec is None else Wanted(spec=spec)

    def _meant(self, command: InstanceCommand, now: Wanted | None) -> _Meant:
        if command.action == "add":
            return self._added(command, now)
        if now is None or (now.state == "removed" and not now.stopped):
            why = "there is no instance of this name"
            raise StrategyError(command.instance, why, hint=self._names())
        match command.action:
            case "update":
                body = now.spec.model_dump() | {"params": now.spec.params | command.params}
                return _Meant(self._spec(command.instance, body), now.state, now.stopped)
            case "remove":
                return _Meant(now.spec, "removed")
            case "stop":
                return _Meant(now.spec, "removed", stopped=True)
            case "start":
                return _Meant(now.spec, "running")
        if now.stopped:
            raise StrategyError(command.instance, "it is stopped", hint="start it")
        return _Meant(now.spec, "paused" if command.action == "pause" else "running")

    def _added(self, command: InstanceCommand, now: Wanted | None) -> _Meant:
        spec = self._spec(command.instance, command.spec)
        if now is not None and now.state != "removed" and now.spec != spec:
            why = "there is an instance of this name"
            raise StrategyError(command.instance, why, hint="update it, or remove it first")
        return _Meant(spec, "running")

    def _spec(self, instance: str, body: Mapping[str, object]) -> InstanceSpec:
        try:
            spec = InstanceSpec.model_validate({**body, "instance": instance})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "spec"
            raise ConfigError(where, f"`{first['input']}`: {first['msg']}") from None
        self._registry.reread(spec.name)
        self._registry.check(spec)
        check_intervals(self._registry.make(spec), spec, self._intervals)
        return spec

    def _klines(self, spec: InstanceSpec) -> dict[str, int]:
        made = self._registry.make(spec)
        wanted = {spec.interval: max(made.lookback, made.convergence)}
        for need in made.needs:
            name = need.interval or spec.interval
            wanted[name] = max(wanted.get(name, 0), need.klines)
        return {name: min(count, _MOST_KLINES) for name, count in wanted.items()}

    def _names(self) -> str:
        return f"the settings have {' '.join(self._configured)}" if self._configured else ""


def planner_of(settings: Settings, ml: MlPlan | None = None) -> Planner:
    """Return the planner of a flow with these settings and models."""
    instances = InstancePlanner(settings.strategies, settings.klines.intervals)
    models = None if ml is None else ModelPlanner(ml)

    def plan(command: Passed, standing: Mapping[str, Standing]) -> Tell:
        if isinstance(command, InstanceCommand):
            return instances(command, standing)
        if models is None:
            hint = "set `ml.features` and `ml.models`, and start the flow again"
            raise ModelError(command.model, "the flow runs no models", hint=hint)
        return models(command, standing)

    return plan


def _as_expected(command: InstanceCommand, now: Wanted | None) -> None:
    if command.expected is None or now is None or now.command == command.id:  # obeyed before
        return
    version = now.command or CONFIGURED
    if version != command.expected:
        why = f"it is at version {version} by now, not at {command.expected}"
        raise StrategyError(command.instance, why, hint="look at it again, then decide")


def check_intervals(strategy: Strategy, spec: InstanceSpec, built: tuple[str, ...]) -> None:
    """Raise `ConfigError` unless all klines that an instance looks at are built."""
    for name in (spec.interval, *(need.interval for need in strategy.needs)):
        if name and name not in built:
            hint = f"add it to `klines.intervals`; there are {' '.join(built)}"
            raise ConfigError("interval", f"klines of {name} are not built", hint=hint)
