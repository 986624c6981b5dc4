"""The pages for people: plain HTML and one style sheet, complete without any script."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

# Nothing may run or be loaded but our own style sheet and the icon within the page.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

_environment = Environment(
    loader=PackageLoader("bootstrap_server", "pages/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(name: str, **values: object) -> HTMLResponse:
    """Return the page `name`; every value is escaped where it is put in."""
    text = _environment.get_template(name).render(**values)
    return HTMLResponse(text, headers=_HEADERS)
