"""In whose repository a client of 0-hub acts: its own, or a group's that it is a member of.

Upstream changes things by GET, which zflist relies on. A page of another site can make a browser
send a GET with its cookies; so a request under /api/flist/me must carry a token in its header.
"""

from dataclasses import dataclass

from fastapi import Request

from flist.hub.errors import ForbiddenError, NotSignedInError, ReadOnlyError
from flist.hub.state.viewer import Viewer
from flist.hub.web.viewers import demand, viewer

COOKIE = "active-user"
"""Upstream's name: it says in whose repository its client acts."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and in which repository."""

    viewer: Viewer
    repo: str


def find_actor(request: Request, scope: str) -> Actor:
    """Return who acts by the token in the request's header, which must have the scope.

    Raises `ReadOnlyError`, `ForbiddenError`, and `NotSignedInError` in upstream's words.
    """
    settings = request.app.state.kit.settings
    if settings.read_only:
        raise ReadOnlyError
    header = request.headers.get("authorization")
    if header is None and not settings.open_to_all:
        raise NotSignedInError("no authorization provided")
    if header is not None and header.partition(" ")[0].lower() != "bearer":
        raise NotSignedInError("invalid authorization header")
    try:
        viewer(request)
    except NotSignedInError as error:
        raise NotSignedInError("invalid signature") from error
    return act(request, demand(request, scope))


def act(request: Request, found: Viewer) -> Actor:
    """Return the viewer with the repository that its request is about."""
    wanted = request.cookies.get(COOKIE, "")
    return Actor(found, wanted if wanted in found.groups else found.name)


def find_changer(request: Request, scope: str) -> Actor:
    """Return who acts by a request that changes something, by whatever method.

    A GET without a token could come from any page, also where everybody may do everything.
    """
    actor = find_actor(request, scope)
    if request.method == "GET" and "authorization" not in request.headers:
        raise ForbiddenError("a change by GET needs a token in the header")
    return actor
