"""How an error reaches a client: a page for a browser, JSON (RFC 9457) for everything else."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bootstrap_server.pages import render_page
from common.errors import ZosError

_TEXTS = {
    404: "nothing is at this address",
    405: "this address can only be read (GET or HEAD)",
}
_TITLES = {  # of pages; programs get the status's own phrase
    404: "Nothing is here",
    405: "This can only be read",
    416: "There is no such part",
    422: "This address makes no image",
    503: "Not ready yet",
}
_HINTS = {404: "the page at / makes addresses; /openapi.json lists them all"}


def add_failures(app: FastAPI) -> None:
    """Make `app` answer every expected error in the form its client reads."""
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ZosError, _on_zos_error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = "GET, HEAD"
    text = _TEXTS.get(error.status_code, str(error.detail))
    return fail(request, error.status_code, text, _HINTS.get(error.status_code), headers=headers)


async def _on_zos_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ZosError)
    # An error that does not know its status is one of this machine's, not of the client's.
    status = getattr(error, "http_status", 503)
    return fail(request, status, error.message, error.hint, field=getattr(error, "field", None))


def fail(
    request: Request,
    status: int,
    text: str,
    hint: str | None,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the response that tells of one error."""
    title = HTTPStatus(status).phrase
    if "text/html" in request.headers.get("accept", ""):
        root = request.app.state.server.settings.root_path
        title = _TITLES.get(status, title)
        page = render_page("error.html", root=root, title=title, text=text, hint=hint)
        page.status_code = status
        page.headers.update(headers or {})
        return page
    said = {"title": title, "status": status, "detail": text, "hint": hint, "field": field}
    return JSONResponse(
        {key: value for key, value in said.items() if value is not None},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )
