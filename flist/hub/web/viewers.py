"""Who a request is by: the token in its Authorization header, or in the cookie of the pages.

A header with a token that is not valid is refused; a cookie that is over counts as none where
something is only read. A request that changes something and carries the cookie has to come from
the hub's own pages: browsers say so in `Sec-Fetch-Site`, older ones in `Origin`.
"""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import Response

from flist.hub.errors import ForbiddenError, NotSignedInError, ReadOnlyError, ScopeError
from flist.hub.state.viewer import ANYBODY, Viewer
from flist.hub.web.everybody import find_everybody
from serving.rates import address_of

COOKIE = "zos_session"
SAFE_COOKIE = "__Host-zos_session"
"""Over TLS: no other server of the domain can set a cookie of such a name."""
READING = ("GET", "HEAD", "OPTIONS")
BEARER = HTTPBearer(auto_error=False, description="a token of an account")


def viewer(request: Request) -> Viewer:
    """Return who a request is by. It asks the database if there is a token: call it in a thread.

    Raises `NotSignedInError` and `ForbiddenError`.
    """
    known: Viewer | None = getattr(request.state, "viewer", None)
    if known is None:
        known = request.state.viewer = find_viewer(request)
    return known


def demand(request: Request, scope: str) -> Viewer:
    """Return who a request is by; its token must have the scope. Raises as `viewer` does."""
    found = viewer(request)
    if request.app.state.kit.settings.read_only and request.method not in READING:
        raise ReadOnlyError
    if not found.is_known:
        raise NotSignedInError(
            "a token is needed", hint="the header is: Authorization: Bearer TOKEN"
        )
    if scope not in found.scopes:
        raise ScopeError(scope)
    return found


class Demand:
    """A dependency of an endpoint: the request must carry a token with `scope`.

    FastAPI runs it in a thread.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def __call__(
        self,
        request: Request,
        _sent: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    ) -> Viewer:
        """Return who the request is by."""
        return demand(request, self.scope)


def find_viewer(request: Request) -> Viewer:
    """Return who a request is by, from its header, else from its cookie."""
    hub = getattr(request.app.state, "hub", None)
    address = address_of(request)
    if hub is None:  # a plain folder, which has no accounts
        return ANYBODY
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer":
            raise NotSignedInError(
                "cannot use this Authorization", hint="the header is: Authorization: Bearer TOKEN"
            )
        found: Viewer = hub.tokens.find_viewer(text.strip(), address)
        return found
    text = session_of(request)
    if not text:
        return find_everybody(request) or Viewer(address=address)
    if request.method not in READING:
        check_origin(request)
    try:
        found = hub.tokens.find_viewer(text, address)
    except NotSignedInError:
        if request.method not in READING:
            raise
        return Viewer(address=address)
    return found


def check_origin(request: Request) -> None:
    """Raise `ForbiddenError` unless a browser says that a page of this hub sends the request."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    is_own = site == "same-origin"
    if site is None and origin is not None:
        is_own = urlsplit(origin).netloc.lower() == request.headers.get("host", "").lower()
    if not is_own:
        raise ForbiddenError(
            "the request does not come from a page of this hub",
            hint="a program sends a token instead of the cookie",
        )


def is_secure(request: Request) -> bool:
    """Return whether browsers see this hub by TLS."""
    public: str = request.app.state.kit.settings.public_url
    return request.url.scheme == "https" or public.startswith("https://")


def session_of(request: Request) -> str:
    """Return the token in the cookie, or an empty text."""
    return request.cookies.get(SAFE_COOKIE if is_secure(request) else COOKIE, "")


def keep_session(request: Request, response: Response, text: str, max_age_s: int) -> None:
    """Give the browser a session's token to keep."""
    safe = is_secure(request)
    response.set_cookie(
        SAFE_COOKIE if safe else COOKIE, text, max_age_s, secure=safe, httponly=True, samesite="lax"
    )


def forget_session(request: Request, response: Response) -> None:
    """Let the browser forget the token."""
    safe = is_secure(request)
    response.delete_cookie(
        SAFE_COOKIE if safe else COOKIE, secure=safe, httponly=True, samesite="lax"
    )
