"""Who sends a request, and whether the token is for what it asks."""

from fastapi import Request

from flist.hub.errors import ForbiddenError, NotSignedInError
from flist.hub.state.viewer import ANYBODY, Viewer
from flist.hub.web.everybody import find_everybody


def viewer(request: Request) -> Viewer:
    """Return who sends the request; a wrong token is refused. It asks the database: in a thread."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if not kind:
        return find_everybody(request) or ANYBODY
    if kind.lower() != "bearer":
        raise NotSignedInError("the header is: Authorization: Bearer TOKEN")
    found: Viewer = request.app.state.hub.tokens.find_viewer(token.strip(), address_of(request))
    return found


def demand(request: Request, scope: str) -> Viewer:
    """Return who sends the request, whose token must be for `scope`."""
    found = viewer(request)
    if not found.is_known:
        raise NotSignedInError("a token is needed")
    if scope not in found.scopes:
        raise ForbiddenError(f"the token lacks the scope {scope}")
    return found


def address_of(request: Request) -> str:
    """Return the client's address."""
    return request.client.host if request.client else ""
