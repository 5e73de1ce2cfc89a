"""The dashboard: one page and its files. They hold no data, so nobody is asked for a token."""

from fastapi import APIRouter, Request, Response

from api.problems import ProblemError
from dashboard.assets import Assets

router = APIRouter(tags=["page"], include_in_schema=False)

_ASSETS = Assets()
_FOR_EVER = "public, max-age=31536000, immutable"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' {styles}; img-src 'self' data: blob:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


@router.get("/")
async def page(request: Request) -> Response:
    """Return the page."""
    headers = {
        "Cache-Control": "no-cache",
        "ETag": _ASSETS.page_tag,
        "Content-Security-Policy": _POLICY.format(styles=_ASSETS.styles),
    }
    if request.headers.get("if-none-match") == _ASSETS.page_tag:
        return Response(status_code=304, headers=headers)
    return Response(_ASSETS.page, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/favicon.ico")
async def icon() -> Response:
    """Return the icon for browsers that look for it there."""
    return _given("", "icon.svg", latest=True, packed=False)


@router.get("/static/{version}/{name:path}")
async def static(request: Request, version: str, name: str) -> Response:
    """Return a file of the page; its name changes with its content."""
    packed = "gzip" in request.headers.get("accept-encoding", "")
    return _given(version, name, latest=False, packed=packed)


def _given(version: str, name: str, *, latest: bool, packed: bool) -> Response:
    found = _ASSETS.find(_ASSETS.version if latest else version, name)
    if found is None:
        raise ProblemError(404, f"there is no `{name}`", hint="load the page again")
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
    if packed:
        headers["Content-Encoding"] = "gzip"
    return Response(found.packed if packed else found.body, media_type=found.media, headers=headers)
