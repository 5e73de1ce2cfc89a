"""A model on an instrument: which versions of it speak, what they say, how good it was."""

from collections import deque
from collections.abc import Callable
from math import isfinite
from typing import Any, Protocol

from core.market.errors import CryptoToolsError, ModelError, SnapshotError
from core.market.intervals import interval
from core.market.kline import Kline
from strategies.ml.columns import Values
from strategies.ml.config import ModelSpec, ScoresConfig
from strategies.ml.features import FeatureSet
from strategies.ml.labels import change
from strategies.ml.manifest import Manifest
from strategies.ml.river_model import RiverModel
from strategies.ml.track import Track

_REASON = 200
"""Characters of a reason."""


class Trained(Protocol):
    """A version of a model that was trained."""

    @property
    def manifest(self) -> Manifest:
        """What is known of it."""
        ...

    def predict(self, values: Values) -> float:
        """Return the prediction of a row."""
        ...


Load = Callable[[str, str], Trained]
"""Returns a version of a model; `ModelError` if there is none that can be used."""

Said = tuple[str, float | None, str, bool]
"""Version, prediction, why there is none, whether it is only scored."""


class Version:
    """A version that speaks, or why it cannot."""

    def __init__(
        self, version: str, model: Trained | None, fault: str, scores: ScoresConfig
    ) -> None:
        self.version, self.model, self.fault = version, model, fault
        self.track = None if model is None else _track(model.manifest, scores)

    def say(self, kline: Kline, values: Values, fault: str) -> tuple[float | None, str]:
        """Return the prediction for a kline, or why there is none."""
        if self.model is None or self.track is None:
            return None, self.fault
        self.track.settle(kline)
        if fault:
            return None, fault
        self.track.see(values)
        value, reason = asked(self.model.predict, values)
        if value is not None:
            self.track.expect(kline, value)
        return value, reason


class Runner:
    """Runs a model.

    Args:
        spec: What the settings say of it.
        features: The set that it sees.
        scores: How it is judged.
        load: Where versions come from.

    Attributes:
        definition: Hash of the set.
        version: The version whose predictions count; empty: none.
        shadows: Those that are only scored.
        command: The last command obeyed.
        begun: Whether it was said what runs.

    """

    def __init__(
        self, spec: ModelSpec, features: FeatureSet, scores: ScoresConfig, load: Load
    ) -> None:
        self.spec, self.features = spec, features
        self.definition = features.definition
        self.version, self.command = "", ""
        self.shadows: tuple[str, ...] = ()
        self.begun = False
        self._scores, self._load = scores, load
        self._versions: dict[str, Version] = {}

    def choose(self, version: str, shadows: tuple[str, ...]) -> str:
        """Have these versions speak from now on; return what is wrong with them, if anything is.

        One that cannot be used speaks all the same: it says why.
        """
        wanted = dict.fromkeys((version, *shadows) if version else shadows)
        self._versions = {v: self._versions.get(v) or self._loaded(v) for v in wanted}
        self.version = version
        self.shadows = tuple(v for v in dict.fromkeys(shadows) if v != version)
        return "; ".join(v.fault for v in self._versions.values() if v.fault)

    def fault_of(self, version: str) -> str:
        """Say why a version cannot be used; empty if it can."""
        known = self._versions.get(version)
        return (known or self._loaded(version)).fault

    def on_row(self, kline: Kline, values: Values, fault: str) -> list[Said]:
        """Take a kline and its row; return what each version says, the one that counts first."""
        said: list[Said] = []
        if not self.version:
            said.append(("", None, fault or "no version is promoted", False))
        for name, one in self._versions.items():
            value, reason = one.say(kline, values, fault)
            said.append((name, value, reason, name != self.version))
        return said

    def tracks(self) -> list[tuple[str, Track]]:
        """Return the accounts of all versions."""
        return [(v.version, v.track) for v in self._versions.values() if v.track is not None]

    def snapshot(self) -> tuple[Any, ...]:
        """Return the state as plain values."""
        kept = tuple((version, track.snapshot()) for version, track in self.tracks())
        head = (self.spec.model_dump_json(), self.begun, self.command, self.version, self.shadows)
        return (*head, kept)

    def restore(self, state: tuple[Any, ...]) -> str:
        """Go on from a snapshot; return what could not be gone on with.

        Where the settings have changed since, they hold.
        """
        spec, begun, command, version, shadows, kept = state
        if spec == self.spec.model_dump_json() and begun:
            self.begun, self.command = begun, command
            self.choose(version, tuple(shadows))
        for name, track in kept:
            known = self._versions.get(name)
            if known is not None and known.track is not None:
                known.track.restore(track)
        return ""

    def _loaded(self, version: str) -> Version:
        try:
            model = self._load(self.spec.name, version)
            if model.manifest.definition != self.definition:
                why = f"version {version} was trained on other features than `{self.features.name}`"
                raise ModelError(self.spec.name, why)
        except CryptoToolsError as error:
            return Version(version, None, _brief(error), self._scores)
        return Version(version, model, "", self._scores)


class OnlineRunner(Runner):
    """Runs a model that learns in the flow; its only version is named by what it is made of."""

    def __init__(
        self, spec: ModelSpec, features: FeatureSet, scores: ScoresConfig, load: Load
    ) -> None:
        super().__init__(spec, features, scores, load)
        if spec.online is None:
            raise ModelError(spec.name, "does not learn in the flow")
        self.model = RiverModel(spec.online, features)
        self.version = self.model.version
        self._track = Track(self.model.target, scores, {})
        self._interval = interval(features.interval)
        self._waiting: deque[tuple[int, float, Values]] = deque()

    def on_row(self, kline: Kline, values: Values, fault: str) -> list[Said]:
        """Learn what the kline tells of earlier rows, then say something of it."""
        self._track.settle(kline)
        reason = self._learn(kline)
        if fault:
            return [(self.version, None, fault, False)]
        end_us = self.model.target.ends(kline.open_us, self._interval)
        self._waiting.append((end_us, kline.close, values))
        value, why = asked(self.model.predict, values, self.model.waiting)
        if value is not None:
            self._track.expect(kline, value)
        return [(self.version, value, why or reason, False)]

    def tracks(self) -> list[tuple[str, Track]]:
        """Return its account."""
        return [(self.version, self._track)]

    def choose(self, _version: str, _shadows: tuple[str, ...]) -> str:
        """Change nothing: there is nothing to choose."""
        return ""

    def snapshot(self) -> tuple[Any, ...]:
        """Return the state as plain values."""
        own = (self.model.snapshot(), self._track.snapshot(), tuple(self._waiting))
        return (self.spec.model_dump_json(), self.begun, *own)

    def restore(self, state: tuple[Any, ...]) -> str:
        """Go on from a snapshot; return what could not be gone on with."""
        if len(state) != 5:
            return "it was no model that learns in the flow"
        _, self.begun, model, track, waiting = state
        try:
            self.model.restore(model)
        except SnapshotError as error:
            return f"it begins anew: {error}"
        self._track.restore(track)
        self._waiting.extend(waiting)
        return ""

    def _learn(self, kline: Kline) -> str:
        while self._waiting and self._waiting[0][0] <= kline.open_us:
            end_us, before, values = self._waiting.popleft()
            moved = change(before, kline.close) if end_us == kline.open_us else None
            label = None if moved is None else self.model.target.label(moved)
            if label is not None:
                try:
                    self.model.learn(values, label)
                except Exception as error:  # what it cannot learn stops nobody
                    return _brief(error)
        return ""


def made(spec: ModelSpec, features: FeatureSet, scores: ScoresConfig, load: Load) -> Runner:
    """Return what runs a model.

    Raises:
        ConfigError: It needs a library that is not installed.

    """
    kind = Runner if spec.online is None else OnlineRunner
    return kind(spec, features, scores, load)


def asked(
    predict: Callable[[Values], float | None], values: Values, waiting: str = ""
) -> tuple[float | None, str]:
    """Return what a model says, or why it says nothing: it may raise, or give what is no number."""
    try:
        value = predict(values)
    except Exception as error:  # one bad model stays one bad model
        return None, _brief(error)
    if value is None:
        return None, waiting
    return (value, "") if isfinite(value) else (None, f"the model gave {value}")


def _track(manifest: Manifest, scores: ScoresConfig) -> Track:
    columns = manifest.features.columns
    return Track(manifest.target, scores, manifest.histograms, columns)


def _brief(error: Exception) -> str:
    text = str(error) if isinstance(error, CryptoToolsError) else f"{type(error).__name__}: {error}"
    return text.partition("\n")[0][:_REASON]
