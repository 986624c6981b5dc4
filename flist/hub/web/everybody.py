"""A hub for one person on this machine: whoever can connect is `Administrator`, without a token.

A page of another site can make a browser send requests to the loopback. So the request must name
the loopback as its host (which defeats a name that leads there), and come from the hub's own page,
or from no page at all.
"""

import contextlib
from urllib.parse import urlsplit

from fastapi import Request

from flist.hub.errors import ConflictError, ForbiddenError
from flist.hub.library.hub import Hub
from flist.hub.state.viewer import PUBLISH, READ, UPLOAD, Viewer

NAME = "Administrator"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
OWN_SITES = (None, "none", "same-origin")


def let_everybody_in(hub: Hub) -> None:
    """Make requests without a token those of one account, which may upload and publish."""
    with contextlib.suppress(ConflictError):
        hub.accounts.create(NAME)
    account = hub.accounts.find(NAME)
    hub.everybody = hub.accounts.viewer_of(account, (READ, UPLOAD, PUBLISH))


def find_everybody(request: Request) -> Viewer | None:
    """Return who a request without a token is by, or None. Raises `ForbiddenError`."""
    found: Viewer | None = request.app.state.hub.everybody
    if found is not None and not is_local(request):
        raise ForbiddenError("the request does not come from a page of this hub")
    return found


def is_local(request: Request) -> bool:
    """Return whether the request names the loopback, and comes from no other site's page."""
    host = request.headers.get("host", "")
    origin = request.headers.get("origin")
    is_own = origin is None or urlsplit(origin).netloc.lower() == host.lower()
    site = request.headers.get("sec-fetch-site")
    return urlsplit(f"//{host}").hostname in LOOPBACK and is_own and site in OWN_SITES
