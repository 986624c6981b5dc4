"""Pages for people: HTML from templates, with the style that all servers share.

Every page is complete without a script, and nothing runs or is loaded but the server's own files.
"""

import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlencode

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

STYLE = "style.css"
DIGEST_CHARS = 16
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src {images}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
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


class Pages:
    """The templates and files in `pages/templates` of a package.

    `images` says where a page's images may come from, as in a Content-Security-Policy; the icon is
    within the page.
    """

    def __init__(
        self,
        package: str,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        images: str = "data:",
    ) -> None:
        self.package = package
        self.headers = {**HEADERS, "Content-Security-Policy": POLICY.format(images=images)}
        self.environment = Environment(
            loader=ChoiceLoader(
                [PackageLoader(package, "pages/templates"), PackageLoader("serving", "pages")]
            ),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters |= {"sentence": sentence, "query": make_query, **(filters or {})}
        self.environment.globals["asset"] = self.name_asset
        self.read = cache(self._read)

    def render(self, name: str, status: int = 200, **values: object) -> HTMLResponse:
        """Return the page `name`; every value is escaped where it is put in."""
        text = self.environment.get_template(name).render(**values)
        return HTMLResponse(text, status, headers=self.headers)

    def _read(self, name: str) -> str:
        """Return a style sheet or script; the style sheet follows the one of all servers."""
        own = files(self.package).joinpath("pages", "templates", name).read_text()
        return files(__name__).joinpath("base.css").read_text() + own if name == STYLE else own

    def name_asset(self, name: str) -> str:
        """Return the name of a file with a part that changes with its content.

        A browser may keep what it gets under this name for ever, and never shows a page of a new
        release with the style of an old one.
        """
        stem, _, suffix = name.rpartition(".")
        return f"{stem}-{self.digest(name)[:DIGEST_CHARS]}.{suffix}"

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a file."""
        return hashlib.sha256(self.read(name).encode()).hexdigest()
