"""What the settings and commands say of models, as messages to the instruments.

The settings may mean "the current version": which one that is stands in the registry, and may be
another tomorrow. So a flow says it once at its start, in a message that is recorded with its
inputs; a replay hears the same message. A command replaces the message.
"""

from collections.abc import Callable, Mapping

from config.settings import Settings
from core.control import ModelCommand
from core.exchange.plan import Standing, Tell
from core.market.errors import ConfigError, ModelError
from dataflows.ml import MlPlan
from dataflows.ml_registry import ModelRegistry
from strategies.ml.config import MlConfig, ModelSpec
from strategies.ml.extra import need
from strategies.ml.runner import Load
from strategies.ml.wanted import WantedModel

_NAME = "ml:"
"""Begins the names of messages about models."""

_MOST_SHADOWS = 8

StandingOf = Callable[[Mapping[str, Standing]], dict[str, Standing]]


def ml_plan(settings: Settings) -> MlPlan | None:
    """Return what features and models the settings want; None where they want none.

    Raises:
        ConfigError: A library is missing, or klines of an interval are not built.
        ModelError: A version is not in the registry.

    """
    config = settings.ml
    if not config.features:
        return None
    for features in config.features:
        if features.interval not in settings.klines.intervals:
            hint = f"add it to `klines.intervals`; there are {' '.join(settings.klines.intervals)}"
            why = f"features `{features.name}`: klines of {features.interval} are not built"
            raise ConfigError("ml.features", why, hint=hint)
    return plan_of(config)


def plan_of(config: MlConfig) -> MlPlan:
    """Return the plan of a flow with these sets and models.

    Raises:
        ConfigError: A library is missing.
        ModelError: A version is not in the registry.

    """
    for model in config.models:
        need("onnxruntime" if model.online is None else "river")
    registry = ModelRegistry(config.registry)
    models = tuple(_whole(registry, spec) for spec in config.models)
    config = config.model_copy(update={"models": models})
    offline = [spec for spec in models if spec.online is None]
    resolved = {spec.name: registry.resolve(spec.name, spec.version) for spec in offline}
    for spec in offline:
        for version in filter(None, (resolved[spec.name], *spec.shadows)):
            check(config, spec, version, registry.load)
    return MlPlan(config, resolved, registry.load)


def check(config: MlConfig, spec: ModelSpec, version: str, load: Load) -> None:
    """Raise `ModelError` unless a version can be used as the settings want it."""
    manifest, features = load(spec.name, version).manifest, config.set_of(spec.features)
    if features is None or manifest.definition != features.definition:
        why = f"version {version} was trained on other features than `{spec.features}`"
        hint = (
            f"its own are in {config.registry}/{spec.name}/{version}/manifest.json; train it anew"
        )
        raise ModelError(spec.name, why, hint=hint)


def standing_of(plan: MlPlan) -> StandingOf:
    """Return how the messages of a snapshot become those of a flow that begins with a plan.

    Where settings and pointer say what they said then, what was commanded since holds.
    """

    def standing(kept: Mapping[str, Standing]) -> dict[str, Standing]:
        found = {name: one for name, one in kept.items() if not name.startswith(_NAME)}
        for spec in plan.config.models:
            if spec.online is None:
                name = f"{_NAME}{spec.name}"
                found[name] = _message(_from_settings(plan, spec, kept.get(name)))
        return found

    return standing


class ModelPlanner:
    """Reads commands against what runs; called by each shard of a source.

    Args:
        plan: What the flow began with.

    """

    def __init__(self, plan: MlPlan) -> None:
        self._plan = plan

    def __call__(self, command: ModelCommand, standing: Mapping[str, Standing]) -> Tell:
        """Return what is to be told.

        Raises:
            ModelError: It cannot be obeyed.

        """
        config = self._plan.config
        spec = next((m for m in config.models if m.name == command.model), None)
        if spec is None or spec.online is not None:
            names = " ".join(m.name for m in config.models if m.online is None)
            why = "no such model with versions is in the settings"
            raise ModelError(command.model, why, hint=f"`ml.models` has {names or 'none'}")
        if command.version:
            check(config, spec, command.version, self._plan.load)
        name = f"{_NAME}{spec.name}"
        now = _from_settings(self._plan, spec, standing.get(name))
        version, shadows = _meant(command, now)
        update = {"command": command.id, "version": version, "shadows": shadows}
        return Tell(name, _message(now.model_copy(update=update)))


def _meant(command: ModelCommand, now: WantedModel) -> tuple[str, tuple[str, ...]]:
    others = tuple(v for v in now.shadows if v != command.version)
    match command.action:
        case "promote":
            return command.version, others
        case "shadow":
            if command.version in ("", now.version):
                raise ModelError(command.model, "it is not scored beside itself: name another")
            if len(others) >= _MOST_SHADOWS:
                raise ModelError(command.model, f"it has {_MOST_SHADOWS} shadows already")
            return now.version, (*others, command.version)
    return now.version, others


def _from_settings(plan: MlPlan, spec: ModelSpec, told: Standing | None) -> WantedModel:
    resolved = plan.resolved[spec.name]
    said = WantedModel(
        model=spec.name, version=resolved, shadows=spec.shadows, configured=spec, resolved=resolved
    )
    if told is None:
        return said
    before = WantedModel.model_validate_json(told.payload)
    # A promotion moves the pointer as well: then it says what was commanded.
    same = before.configured == spec and resolved in (before.resolved, before.version)
    return before if same else said


def _message(wanted: WantedModel) -> Standing:
    return Standing(symbols=wanted.configured.symbols, payload=wanted.model_dump_json())


def _whole(registry: ModelRegistry, spec: ModelSpec) -> ModelSpec:
    shadows = tuple(registry.resolve(spec.name, version) for version in spec.shadows)
    return spec.model_copy(update={"shadows": tuple(filter(None, shadows))})
