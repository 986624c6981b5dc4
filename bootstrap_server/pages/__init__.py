"""The pages for people: plain HTML and one style sheet, complete without any script."""

from collections.abc import Mapping
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from bootstrap_server.pages.assets import name_asset

# Nothing may run or be loaded but our own style sheet and script, and the icon within the page.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def sentence(text: str) -> str:
    """Return an error's text or hint as a sentence."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def make_query(chosen: Mapping[str, object]) -> str:
    """Return options as the query of an address."""
    return urlencode(chosen, doseq=True)


_environment = Environment(
    loader=PackageLoader("bootstrap_server", "pages/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["sentence"] = sentence
_environment.filters["query"] = make_query
_environment.globals["asset"] = name_asset


def render_page(name: str, status: int = 200, **values: object) -> HTMLResponse:
    """Return the page `name`; every value is escaped where it is put in."""
    text = _environment.get_template(name).render(**values)
    return HTMLResponse(text, status, headers=_HEADERS)
