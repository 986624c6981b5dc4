"""What the pages' routes share."""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from flist.hub.errors import AbsentError
from flist.hub.library.hub import Hub
from flist.hub.library.values import Entry, Version
from flist.hub.names import candidates, is_flist, is_repo
from flist.hub.pages import render_page
from flist.hub.pages.opened import OpenFlists, OpenTree
from flist.hub.state.viewer import Viewer
from flist.hub.web.viewers import viewer
from flist.mount.reader import Reader
from flist.mount.tree import Tree
from flist.store.fetch import Fetcher
from serving.pools import Pool

ROOT, LOGIN = "/", "login"
NEXT_CHARS = 500
HOST = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}")
THREADS = 4
PRIVATE = "private, no-cache"
"""No shared cache keeps a page: it depends on who asks."""


@dataclass
class Desk:
    """The hub, with the flists that are open for the pages.

    Pages are made by few threads of their own: a search through half a million names must not keep
    the nodes waiting.
    """

    hub: Hub
    pool: Pool = field(default_factory=lambda: Pool(THREADS))
    flists: OpenFlists = field(default_factory=OpenFlists)
    fetcher: Fetcher = field(init=False)

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(self.hub.store, None)

    @contextlib.contextmanager
    def open(self, asking: Viewer, digest: str) -> Iterator[OpenTree]:
        """Give a version that the viewer may read."""
        self.hub.flists.demand_object(asking, digest)
        with self.flists.use(digest, lambda: self.hub.flists.open_version(asking, digest)) as tree:
            yield tree

    def reader(self, tree: Tree) -> Reader:
        """Return what reads the files of an open flist."""
        return Reader(tree, self.fetcher)


@dataclass(frozen=True)
class Asked:
    """The version of a flist that a page is about."""

    asking: Viewer
    entry: Entry
    version: Version
    is_named: bool  # in the address; without, it is the one that is published

    @property
    def at_version(self) -> str:
        """Return what an address ends with, to stay at this version."""
        return f"?version={self.version.digest}" if self.is_named else ""

    @property
    def place(self) -> str:
        """Return REPO/NAME."""
        return f"{self.entry.repository}/{self.entry.name}"


def find_asked(desk: Desk, request: Request, repo: str, name: str, version: str) -> Asked:
    """Return which version an address is about. Raises `AbsentError`, whatever the reason."""
    asking = viewer(request)
    entry = find_named(desk, asking, repo, name)
    found = desk.hub.flists.find_version(asking, entry.repository, entry.name, version)
    return Asked(asking, entry, found, bool(version))


def find_named(desk: Desk, asking: Viewer, repo: str, name: str) -> Entry:
    """Return the flist of a name, which may lack its suffix: 0-hub's addresses do."""
    for file in candidates(name):
        if is_repo(repo) and is_flist(file):
            with contextlib.suppress(AbsentError):
                return desk.hub.flists.find(asking, repo, file)
    raise AbsentError("there is no such flist")


def show(request: Request, name: str, status: int = 200, **values: Any) -> Response:
    """Return a page, with what all pages have."""
    return show_for(request, viewer(request), name, status, **values)


def show_for(request: Request, me: Viewer, name: str, status: int, **values: Any) -> Response:
    """Return a page for a viewer who is known already."""
    has_accounts = getattr(request.app.state, "hub", None) is not None
    page = render_page(name, status, root=ROOT, me=me, has_accounts=has_accounts, **values)
    page.headers["Cache-Control"] = PRIVATE
    return page


def go(path: str) -> Response:
    """Return the way to another page of this hub, after a form."""
    return RedirectResponse(path, 303)


def ask_to_sign_in(request: Request) -> Response:
    """Return the way to the form of the session, which leads back."""
    place = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return go(f"{ROOT}{LOGIN}?next={quote(place, safe='')}")


def find_provider(request: Request) -> str:
    """Return where one signs in at an OpenID Connect provider, "" if there is none."""
    return f"{ROOT}{LOGIN}/oidc" if getattr(request.app.state, "oidc", None) else ""


def hub_url(request: Request, desk: Desk) -> str:
    """Return the address under which the hub is reached; it becomes part of commands."""
    public = desk.hub.settings.public_url.rstrip("/")
    host = request.url.netloc if HOST.fullmatch(request.url.netloc) else "localhost"
    return public or f"{request.url.scheme}://{host}"
