"""A flist's readme as HTML."""

import json
from collections.abc import Mapping

from markdown_it import MarkdownIt
from markupsafe import Markup

MAX_CHARS = 100_000
TAG = "readme"
FIRST_HEADING = 3
"""The page has headings of its own above."""


def make_renderer() -> MarkdownIt:
    """Return what renders Markdown: no HTML of the text's own, and no images of other servers."""
    renderer = MarkdownIt("commonmark", {"html": False, "maxNesting": 20})
    return renderer.enable("table").disable("image")


_RENDERER = make_renderer()


def find_readme(tags: Mapping[str, str]) -> str:
    """Return the readme in a flist's tags: a text, or as the older format has it, JSON."""
    text = tags.get(TAG, "")
    try:
        found = json.loads(text) if text.startswith("{") else text
    except (ValueError, RecursionError):
        return text
    return str(found.get(TAG) or "") if isinstance(found, dict) else text


def render_readme(text: str) -> Markup:
    """Return a readme as HTML."""
    cut = text[:MAX_CHARS]
    tokens = _RENDERER.parse(cut)
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            level = min(int(token.tag[1]) + FIRST_HEADING - 1, 6)
            token.tag = f"h{level}"
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "nofollow noopener noreferrer")
    # Every text was escaped by the renderer, and addresses other than http, mailto and relative
    # ones make no link.
    return Markup(_RENDERER.renderer.render(tokens, _RENDERER.options, {}))  # noqa: S704
