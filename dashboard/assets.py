"""The page's files, each under a name that changes with its content, and the chart library.

The library is TradingView's lightweight-charts, the official build, carried by the wheel
`litecharts`. A file of another digest is refused: nothing else may run in the page.
"""

import base64
import gzip
import mimetypes
import re
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable

from core.market.errors import ServiceError

CHARTS = "lightweight-charts.js"
CHARTS_VERSION = "5.1.0"
CHARTS_SHA256 = "756b0ba9f58930226d6b8b9d47ad310448ab85d799ea1f7c2c02304777c10b52"
"""Of ``dist/lightweight-charts.standalone.production.js`` in the release 5.1.0."""

_SHORT = 12
_LOGO = re.compile(rb'innerText="(a#tv-attr-logo[^"]*)"')
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page.

    Attributes:
        path: Below ``/static``; the version stands in it, so it may be kept for ever.
        body: Its bytes.
        packed: The same, gzipped.
        media: Its media type.
        integrity: For the ``integrity`` attribute.

    """

    path: str
    body: bytes
    packed: bytes
    media: str
    integrity: str


class Assets:
    """All files of the page.

    Raises:
        ServiceError: The chart library is not there, or is not the official build.

    """

    def __init__(self) -> None:
        root = files("dashboard").joinpath("static")
        found = {name: path.read_bytes() for name, path in _walk(root) if name != "index.html"}
        found[CHARTS] = _charts()
        # Modules import each other by relative names: one version for all of them.
        whole = sha256(b"".join(found[name] for name in sorted(found))).hexdigest()[:_SHORT]
        self.version = whole
        self.prefix = f"/static/{whole}"
        # The library's logo has a style of its own, the only one that stands in no file.
        inline = _LOGO.search(found[CHARTS])
        own = b"" if inline is None else inline[1]
        self.styles = f"'sha256-{base64.b64encode(sha256(own).digest()).decode()}'"
        self._by_path = {name: _asset(name, body) for name, body in found.items()}
        page = root.joinpath("index.html").read_text("utf-8")
        self.page = self._filled(page).encode()
        self.page_tag = f'"{sha256(self.page).hexdigest()[:_SHORT]}"'

    def find(self, version_: str, name: str) -> Asset | None:
        """Return a file of this version; None if there is none of that name."""
        return self._by_path.get(name) if version_ == self.version else None

    def _filled(self, page: str) -> str:
        charts = self._by_path[CHARTS]
        return (
            page.replace("{{static}}", self.prefix)
            .replace("{{charts}}", f"{self.prefix}/{CHARTS}")
            .replace("{{charts-integrity}}", charts.integrity)
            .replace("{{charts-version}}", CHARTS_VERSION)
            .replace("{{version}}", version("cryptotools"))
        )


def _walk(folder: Traversable, below: str = "") -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    for one in folder.iterdir():
        name = f"{below}{one.name}"
        found += _walk(one, f"{name}/") if one.is_dir() else [(name, one)]
    return sorted(found, key=lambda pair: pair[0])


def _asset(name: str, body: bytes) -> Asset:
    suffix = "." + name.rpartition(".")[2]
    media = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    digest = base64.b64encode(sha256(body).digest()).decode()
    return Asset(name, body, gzip.compress(body, 9, mtime=0), media, f"sha256-{digest}")


def _charts() -> bytes:
    try:
        body = files("litecharts").joinpath("js", CHARTS).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        hint = "pip install litecharts==0.2.0"
        raise ServiceError("dashboard", "its chart library is missing", hint=hint) from None
    digest = sha256(body).hexdigest()
    if digest != CHARTS_SHA256:
        why = f"{CHARTS} is not the official build of {CHARTS_VERSION} (sha256 {digest})"
        raise ServiceError("dashboard", why, hint="pip install --force-reinstall litecharts==0.2.0")
    return body
