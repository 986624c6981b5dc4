"""The pages."""

from importlib.resources import files

from fastapi import Request
from starlette.responses import HTMLResponse, Response

from bootstrap_server.channels.sources import find_channels
from bootstrap_server.pages.form import show_form
from bootstrap_server.web.shared import Shared, answer, make_router

router = make_router()


@answer(router, "/")
def form(request: Request, server: Shared) -> HTMLResponse:
    """Show the form, and the addresses for what was typed into it."""
    channels = find_channels(server.source)
    return show_form(request.query_params, server.settings, channels, server.checksum)


@answer(router, "/style.css")
def style() -> Response:
    """Return the pages' style sheet."""
    text = files("bootstrap_server").joinpath("pages", "templates", "style.css").read_text()
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=3600"})
