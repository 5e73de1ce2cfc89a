"""Features and models of one instrument: final klines in, rows and predictions out. Pure.

A kline that is issued again changes nothing: rows, like signals, depend on what was known when the
window closed. A version that raises or gives what is no number says nothing, and why.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from core.market.errors import SnapshotError
from core.market.events import ModelChanged
from core.market.kline import Kline, Status
from core.market.ml import FeatureRow, Learned, ModelScore, Prediction
from core.market.position import Positions
from strategies.ml.columns import Columns, Values
from strategies.ml.config import MlConfig
from strategies.ml.features import FeatureSet
from strategies.ml.runner import Load, Runner, made
from strategies.ml.track import Track
from strategies.ml.wanted import WantedModel

Out: TypeAlias = Learned | ModelChanged

VERSION = 1
"""Of the snapshot."""

_HEAD = ("ml", VERSION)
_KINDS = ("rows", "predictions", "scores", "events")


class _Lane:
    """A set of features on the klines of its interval, and the models that see it."""

    def __init__(self, features: FeatureSet, runners: list[Runner]) -> None:
        self.columns = Columns(features)
        self.features, self.runners = features, runners
        self.last_open_us = -(2**63)


class MlHost:
    """Computes sets of features, and asks models.

    Args:
        key: The instrument's key.
        config: Sets and models.
        resolved: By model, the version that the settings mean; empty: none.
        load: Where versions come from.

    """

    def __init__(self, key: str, config: MlConfig, resolved: Mapping[str, str], load: Load) -> None:
        self.key = key
        self._resolved = resolved
        self._positions = {kind: Positions() for kind in _KINDS}
        self._runners: dict[str, Runner] = {}
        self._lanes: list[_Lane] = []
        self._notices: dict[str, str] = {}
        for features in config.features:
            own = [s for s in config.models if s.features == features.name and s.applies_to(key)]
            runners = [made(spec, features, config.scores, load) for spec in own]
            self._runners |= {runner.spec.name: runner for runner in runners}
            self._lanes.append(_Lane(features, runners))

    def on_kline(self, kline: Kline) -> list[Out]:
        """Take a kline; return its rows and predictions if it is final and its window is new."""
        if kline.status is not Status.FINAL:
            return []
        out: list[Out] = []
        for lane in self._lanes:
            fits = lane.features.interval == kline.interval.name
            if fits and kline.open_us > lane.last_open_us:
                lane.last_open_us = kline.open_us
                out += self._on_lane(lane, kline)
        return out

    def want(self, wanted: WantedModel, time_us: int) -> list[ModelChanged]:
        """Make a model what a command wants it to be, from the next kline on.

        Returns:
            What has become of it; nothing where it is so already, or does not run here.

        """
        runner = self._runners.get(wanted.model)
        if runner is None:
            return []
        if wanted.configured != runner.spec:
            # Who edits the settings means it: they hold, not what was commanded before.
            why = "the settings of this model have changed since"
            return [self._changed(runner, time_us, wanted.command, "refused", why)]
        chosen = (wanted.version, wanted.shadows)
        if runner.begun and (wanted.command, *chosen) == (
            runner.command, runner.version, runner.shadows
        ):  # fmt: skip
            return []
        fault = runner.fault_of(wanted.version) if wanted.version else ""
        if fault and runner.begun:
            return [self._changed(runner, time_us, wanted.command, "refused", fault)]
        runner.begun, runner.command = True, wanted.command
        detail = runner.choose(*chosen)
        return [self._changed(runner, time_us, wanted.command, "running", detail)]

    def status(self) -> list[dict[str, Any]]:
        """Return what runs, for people: ``model version shadows features``."""
        return [
            {"model": name, "version": r.version, "shadows": list(r.shadows),
             "features": r.features.name}
            for name, r in self._runners.items()
        ]  # fmt: skip

    def snapshot(self) -> tuple[Any, ...]:
        """Return everything needed to go on: tuples of numbers, strings and bytes."""
        lanes = tuple((x.features.name, x.last_open_us, x.columns.snapshot()) for x in self._lanes)
        runners = tuple((name, runner.snapshot()) for name, runner in self._runners.items())
        positions = tuple(p.last for p in self._positions.values())
        return (*_HEAD, self.key, positions, lanes, runners)

    def restore(self, snapshot: tuple[Any, ...]) -> None:
        """Go on from a snapshot; a set with another definition warms up, and so on.

        Raises:
            SnapshotError: It is of another version, or of another instrument.

        """
        found, expected = tuple(snapshot[:3]), (*_HEAD, self.key)
        if found != expected:
            raise SnapshotError("features and models", found, expected)
        positions, lanes, runners = snapshot[3:]
        for kind, last in zip(_KINDS, positions, strict=True):
            self._positions[kind].last = last
        self._restore_lanes({name: rest for name, *rest in lanes})
        for name, state in runners:
            runner = self._runners.get(name)
            notice = "" if runner is None else runner.restore(state)
            if runner is not None and notice:  # to be said with the next kline
                runner.begun = False
                self._notices[name] = notice

    def _restore_lanes(self, saved: Mapping[str, Any]) -> None:
        for lane in self._lanes:
            last_open_us, state = saved.get(lane.features.name, (0, ("", "")))
            if state[1] == lane.columns.definition:
                lane.columns.restore(state)
                lane.last_open_us = last_open_us

    def _on_lane(self, lane: _Lane, kline: Kline) -> Iterator[Out]:
        columns = lane.columns
        values = columns.update(kline)
        fault = columns.fault(values)
        if not fault:
            yield FeatureRow(
                self.key, kline.interval, lane.features.name, columns.definition, kline.open_us,
                kline.close_us, kline.text("close"), values, self._at("rows", kline),
            )  # fmt: skip
        for runner in lane.runners:
            yield from self._on_runner(runner, kline, values, fault)

    def _on_runner(self, runner: Runner, kline: Kline, values: Values, fault: str) -> Iterator[Out]:
        if not runner.begun:
            yield self._begun(runner, kline)
        name, definition = runner.spec.name, runner.definition
        for version, value, reason, shadow in runner.on_row(kline, values, fault):
            yield Prediction(
                self.key, kline.interval, name, version, definition, kline.open_us,
                kline.close_us, value, reason, shadow, self._at("predictions", kline),
            )  # fmt: skip
        for version, track in runner.tracks():
            if track.due:
                yield self._score(runner, version, track, kline)

    def _begun(self, runner: Runner, kline: Kline) -> ModelChanged:
        # No message said what the settings mean, as there is none in files and captures.
        runner.begun = True
        name = runner.spec.name
        fault = runner.choose(self._resolved.get(name, ""), runner.spec.shadows)
        detail = self._notices.pop(name, "") or fault
        return self._changed(runner, kline.close_us, "", "running", detail)

    def _score(self, runner: Runner, version: str, track: Track, kline: Kline) -> ModelScore:
        found = track.quality()
        return ModelScore(
            self.key, kline.interval, runner.spec.name, version, version != runner.version,
            kline.open_us, kline.close_us,
            rows=int(found["rows"]),
            accuracy=found.get("accuracy"),
            baseline=found.get("baseline_accuracy"),
            error=found.get("brier", found.get("mse")),
            ic=found.get("ic"),
            psi=track.drift(),
            seq=self._at("scores", kline),
        )  # fmt: skip

    def _changed(
        self, runner: Runner, time_us: int, command: str, state: str, detail: str
    ) -> ModelChanged:
        seq = self._positions["events"].at(time_us)
        which = (command, runner.spec.name, runner.version, ",".join(runner.shadows))
        return ModelChanged(self.key, time_us, seq, *which, state, detail)

    def _at(self, kind: str, kline: Kline) -> int:
        return self._positions[kind].at(kline.close_us)
