"""The registry of trained models: a folder that people can read.

    models/<name>/<version>/manifest.json     what is known of it
    models/<name>/<version>/model.onnx        its graph
    models/<name>/current                     the version that a flow begins with

A version is the hash of what is in it: nothing of it ever changes, and training the same anew gives
the same. Versions may be named by their first characters.
"""

import threading
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from connectors.durable import publish
from core.market.errors import ModelError
from strategies.ml.config import CURRENT, NONE
from strategies.ml.manifest import Manifest
from strategies.ml.onnx_model import OnnxModel

MANIFEST, GRAPH = "manifest.json", "model.onnx"
_DIGITS = 12


def version_of(manifest: Manifest, graph: bytes) -> str:
    """Return the version that a manifest and a graph make, whatever the manifest calls it."""
    body = orjson.dumps(manifest.model_dump(mode="json", exclude={"version"}, by_alias=True),
                        option=orjson.OPT_SORT_KEYS)  # fmt: skip
    return sha256(body + graph).hexdigest()[:_DIGITS]


class ModelRegistry:
    """Reads and writes the folder; loads each version once for all who ask in this process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded: dict[tuple[str, str], OnnxModel] = {}
        self._lock = threading.Lock()

    def save(self, manifest: Manifest, graph: bytes) -> Manifest:
        """Write a version; return its manifest, which names it. The same again changes nothing."""
        manifest = manifest.model_copy(update={"version": version_of(manifest, graph)})
        folder = self._path / manifest.name / manifest.version
        row: dict[str, Any] = manifest.model_dump(mode="json", by_alias=True)
        publish(folder / GRAPH, graph, service="models")
        options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        # Last: a folder with a manifest is whole.
        publish(folder / MANIFEST, orjson.dumps(row, option=options), service="models")
        return manifest

    def manifests(self, name: str = "") -> list[Manifest]:
        """Return what is known of all versions, of one model or of all: by training range."""
        names = [name] if name else [p.name for p in _folders(self._path)]
        found = [
            self.manifest(model, folder.name)
            for model in names
            for folder in _folders(self._path / model)
            if (folder / MANIFEST).exists()
        ]
        return sorted(found, key=lambda m: (m.name, m.valid.last, m.train.first, m.version))

    def manifest(self, name: str, version: str) -> Manifest:
        """Return what is known of a version.

        Raises:
            ModelError: There is none, or it cannot be read.

        """
        path = self._path / name / version / MANIFEST
        try:
            return Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise ModelError(name, f"no version `{version}`", hint=self._hint(name)) from None
        except (OSError, ValidationError) as error:
            why = f"{path} cannot be read: {str(error).splitlines()[0]}"
            raise ModelError(name, why) from None

    def load(self, name: str, version: str) -> OnnxModel:
        """Return a version, ready to predict.

        Raises:
            ModelError: There is none, or it cannot be used.
            ConfigError: onnxruntime is not installed.

        """
        with self._lock:
            if (name, version) not in self._loaded:
                manifest = self.manifest(name, version)
                graph = self._graph(name, version)
                if version_of(manifest, graph) != version:
                    why = f"version {version} is not what it was: its files were changed"
                    raise ModelError(name, why, hint="train it again")
                self._loaded[name, version] = OnnxModel(manifest, graph)
            return self._loaded[name, version]

    def resolve(self, name: str, version: str) -> str:
        """Return the whole version that is meant; empty where that is none.

        Raises:
            ModelError: There is no such version, or several begin like that.

        """
        if version == NONE:
            return ""
        if version == CURRENT:
            return self.current(name)
        found = [p.name for p in _folders(self._path / name) if p.name.startswith(version)]
        if len(found) != 1:
            why = f"no version `{version}`" if not found else f"several versions begin `{version}`"
            raise ModelError(name, why, hint=self._hint(name))
        return found[0]

    def current(self, name: str) -> str:
        """Return the version that a flow begins with; empty where none is promoted."""
        try:
            return (self._path / name / CURRENT).read_text("utf-8").strip()
        except FileNotFoundError:
            return ""

    def promote(self, name: str, version: str) -> None:
        """Have flows begin with a version from now on; empty: with none."""
        publish(self._path / name / CURRENT, f"{version}\n".encode(), service="models")

    def _graph(self, name: str, version: str) -> bytes:
        path = self._path / name / version / GRAPH
        try:
            return path.read_bytes()
        except OSError as error:
            raise ModelError(name, f"{path} cannot be read ({error.strerror})") from None

    def _hint(self, name: str) -> str:
        there = [p.name for p in _folders(self._path / name)]
        if there:
            return f"there are {' '.join(there)}"
        return f"train it: cryptotools ml train --name {name}; the registry is {self._path}"


def _folders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []
