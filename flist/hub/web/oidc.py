"""Signing in at an OpenID Connect provider.

GET /login/oidc            sends the browser to the provider; ?next=PATH is where it goes at last
GET /login/oidc/callback   it comes back from there

What the way back needs is in a cookie of the browser: state, nonce and PKCE's verifier. So any
server of the hub can finish what another has begun, and only in the same browser.
"""

from typing import Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from flist.hub.accounts.arrivals import find_account
from flist.hub.accounts.oidc import Attempt, Provider
from flist.hub.accounts.signin import PAGES, PAGES_DAYS
from flist.hub.errors import NotSignedInError
from flist.hub.library.hub import Hub
from flist.hub.web.sessions import redirect
from flist.hub.web.viewers import is_secure, keep_session
from serving.openapi import describe_problems
from serving.rates import RateLimit, TooManyRequestsError, address_of
from serving.tokens import DAY_S

BEGIN = "/login/oidc"
CALLBACK = f"{BEGIN}/callback"
COOKIE = "zos_oidc"
ATTEMPT_S = 600
NEXT_CHARS = 500
PROBLEMS = describe_problems(401, 403, 409, 502)


def make_provider(settings: Any) -> Provider | None:
    """Return the provider of the settings, or None."""
    if not settings.oidc_issuer:
        return None
    secret = settings.oidc_client_secret
    return Provider(
        settings.oidc_issuer,
        settings.oidc_client_id,
        secret.read_text().strip() if secret else "",
        settings.public_url.rstrip("/") + CALLBACK,
    )


def make_router(hub: Hub, provider: Provider) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["sign-in"])
    settings = hub.settings
    limit = RateLimit(settings.sign_in_per_minute, settings.sign_in_burst)

    def count(request: Request) -> None:
        wait_s = limit.take(address_of(request))
        if wait_s:
            raise TooManyRequestsError(wait_s)

    @router.get(BEGIN, status_code=303, response_class=Response, responses=PROBLEMS)
    def begin(request: Request, next: str = "") -> Response:  # noqa: A002 the query's word
        """Send the browser to the provider."""
        count(request)
        url, attempt = provider.begin()
        response = RedirectResponse(url, 303)
        kept = (attempt.state, attempt.nonce, attempt.verifier, quote(next[:NEXT_CHARS], safe=""))
        response.set_cookie(
            COOKIE, "|".join(kept), ATTEMPT_S, path=BEGIN, secure=is_secure(request),
            httponly=True, samesite="lax",
        )  # fmt: skip
        return response

    @router.get(CALLBACK, status_code=303, response_class=Response, responses=PROBLEMS)
    def come_back(request: Request) -> Response:
        """Sign in whom the provider vouches for."""
        count(request)
        attempt, place = read_attempt(request.cookies.get(COOKIE, ""))
        identity = provider.finish(attempt, request.query_params)
        account = find_account(hub.accounts, hub.audit, identity, may_create=settings.oidc_create)
        text = hub.sign_ins.admit(account, address_of(request), PAGES, "OpenID Connect")
        response = redirect(place)
        response.delete_cookie(COOKIE, path=BEGIN)
        keep_session(request, response, text, int(PAGES_DAYS * DAY_S))
        return response

    return router


def read_attempt(text: str) -> tuple[Attempt, str]:
    """Return what the cookie says: the attempt, and where to go. Raises `NotSignedInError`."""
    words = text.split("|")
    if len(words) != 4 or not all(words[:3]):
        raise NotSignedInError("no sign-in was begun in this browser", hint="begin it again")
    return Attempt(*words[:3]), unquote(words[3])
