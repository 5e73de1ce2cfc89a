"""What the registry, the settings and the flow's own events say of models."""

from dataclasses import replace
from typing import Any

import orjson
from anyio import to_thread

from api.data.columns import values
from api.data.join import join
from api.data.query import Query
from api.data.shapes import EVENTS
from api.services import Services
from client.ml import ModelItem, ModelVersion, RunningModel, VersionRows
from config.settings import Settings
from dataflows.ml_registry import ModelRegistry
from strategies.ml.manifest import Manifest

_PAGE = 500
_MOST_PAGES = 4
Running = dict[str, dict[str, RunningModel]]


async def models_of(own: Services) -> list[ModelItem]:
    """Return all models, by name."""
    held = await to_thread.run_sync(_held, own.settings)
    running = await _running(own)
    names = sorted({*held, *running, *(spec.name for spec in own.settings.ml.models)})
    return [_item(own.settings, name, held.get(name), running.get(name, {})) for name in names]


def _held(settings: Settings) -> dict[str, tuple[str, list[Manifest]]]:
    registry = ModelRegistry(settings.ml.registry)
    found: dict[str, tuple[str, list[Manifest]]] = {}
    for manifest in registry.manifests():
        name = manifest.name
        found.setdefault(name, (registry.current(name), []))[1].append(manifest)
    return found


async def _running(own: Services) -> Running:
    # The newest word of each instrument on each model; old ones matter to nobody.
    found: Running = {}
    query = Query(EVENTS, None, descending=True, filters=(("kind", "model_changed"),))
    for _ in range(_MOST_PAGES):
        page = await join(own, query, _PAGE)
        if page.table is not None:
            columns = (values(page.table, name) for name in ("key", "time", "detail"))
            for key, time_us, detail in zip(*columns, strict=True):
                said: dict[str, Any] = orjson.loads(detail)
                if said["state"] == "running":
                    found.setdefault(said["model"], {}).setdefault(key, _said(key, time_us, said))
        if page.next is None:
            break
        query = replace(query, after=page.next)
    return found


def _said(key: str, time_us: int, said: dict[str, Any]) -> RunningModel:
    shadows = [one for one in str(said["shadows"]).split(",") if one]
    return RunningModel(key=key, version=said["version"], shadows=shadows, time_us=time_us)


def _item(
    settings: Settings,
    name: str,
    held: tuple[str, list[Manifest]] | None,
    running: dict[str, RunningModel],
) -> ModelItem:
    spec = next((one for one in settings.ml.models if one.name == name), None)
    current, manifests = held or ("", [])
    return ModelItem(
        name=name,
        configured=spec is not None,
        online=spec is not None and spec.online is not None,
        current=current,
        versions=[_version(one, current) for one in manifests],
        running=[running[key] for key in sorted(running)],
    )


def _version(manifest: Manifest, current: str) -> ModelVersion:
    return ModelVersion(
        version=manifest.version,
        current=manifest.version == current,
        estimator=manifest.estimator,
        target=manifest.target.model_dump(mode="json"),
        features=manifest.features.name,
        columns=list(manifest.features.columns),
        interval=manifest.features.interval,
        definition=manifest.definition,
        keys=list(manifest.keys),
        train=VersionRows(**manifest.train.model_dump()),
        valid=VersionRows(**manifest.valid.model_dump()),
        metrics=manifest.metrics,
    )
