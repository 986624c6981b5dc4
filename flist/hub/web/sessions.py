"""Signing in and out: for programs, and for the pages, whose session is a cookie.

POST /api/v1/signin      {"username", "password"}, or with a key: {"username", "nonce", "signature"}
POST /api/v1/challenge   {"username"}: a nonce to sign
POST /api/v1/signout     the token of the request is revoked
POST /login              a form with username, password and next, the path to go to
POST /logout             ends the session of the pages
"""

import re
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from flist.hub.accounts.challenge import VALID_S
from flist.hub.accounts.signin import PAGES, PAGES_DAYS, Wish
from flist.hub.errors import InvalidError
from flist.hub.library.hub import Hub
from flist.hub.web.bodies import parse_model, read_json
from flist.hub.web.models import Challenge, ChallengeAsked, SignedIn, SignIn, describe_body
from flist.hub.web.viewers import check_origin, forget_session, keep_session, session_of, viewer
from flist.server import api
from flist.server.signin import PURPOSE
from serving.bodies import read_body
from serving.openapi import describe_problems
from serving.rates import OF_THIS_KIND, RateLimit, TooManyRequestsError, address_of
from serving.tokens import DAY_S

MAX_BODY_BYTES = 16 << 10
MAX_WAITING = 512
"""Each sign-in takes about 40 ms of one thread: no client waits for minutes, however many ask."""
LOCAL = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]*")
FORM = "application/x-www-form-urlencoded"
T = TypeVar("T")


def make_router(hub: Hub) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["sign-in"])
    add_challenge(router, hub)
    add_sign_in(router, hub)
    add_sign_out(router, hub)
    add_pages(router, hub)
    return router


def add_challenge(router: APIRouter, hub: Hub) -> None:
    """Add the route that gives out nonces."""
    settings = hub.settings
    limit = RateLimit(settings.sign_in_per_minute, settings.sign_in_burst)

    @router.post("/api/v1/challenge", status_code=201, openapi_extra=describe_body(ChallengeAsked))
    async def give_nonce(request: Request) -> Challenge:
        """Return a nonce to sign, also for a name that does not exist."""
        await limit(request)
        body = await read_json(request, MAX_BODY_BYTES, is_guest=True)
        asked = parse_model(body, ChallengeAsked)
        nonce = await run_in_threadpool(hub.sign_ins.challenges.issue, asked.username)
        return Challenge(
            purpose=PURPOSE, host=host_of(request), nonce=nonce, expires_in=int(VALID_S)
        )


def host_of(request: Request) -> str:
    """Return the hub's HOST[:PORT], which signatures name."""
    public: str = request.app.state.kit.settings.public_url
    return urlsplit(public).netloc if public else request.headers.get("host", "")


def add_sign_in(router: APIRouter, hub: Hub) -> None:
    """Add the route that gives out tokens."""

    @router.post(
        f"/{api.SIGN_IN}",
        status_code=201,
        openapi_extra=describe_body(SignIn),
        responses=describe_problems(401),
    )
    async def sign_in(request: Request) -> SignedIn:
        """Return a token for a user's name with a password, or a signed nonce."""
        body = await read_json(request, MAX_BODY_BYTES, is_guest=True)
        asked = parse_model(body, SignIn)
        if asked.password is not None:
            text = await check_password(hub, request, asked.username, asked.password, asked.wish)
        else:
            text = await run_in_threadpool(
                hub.sign_ins.by_key, asked.username, asked.nonce, asked.signature,
                host_of(request), address_of(request), asked.wish,
            )  # fmt: skip
        return SignedIn(access_token=text)


async def check_password(hub: Hub, request: Request, name: str, password: str, wish: Wish) -> str:
    """Return a token for a name and a password; answers 429 when very many wait."""
    pool = request.app.state.kit.pools.passwords
    metrics = request.app.state.kit.metrics
    if pool.waiting >= MAX_WAITING:  # clients of many addresses
        metrics.rejected.labels("rate_limit").inc()
        raise TooManyRequestsError(1, OF_THIS_KIND)
    try:
        text: str = await pool.run(
            hub.sign_ins.by_password, name, password, address_of(request), wish
        )
    except TooManyRequestsError:
        metrics.rejected.labels("rate_limit").inc()
        raise
    return text


def add_sign_out(router: APIRouter, hub: Hub) -> None:
    """Add the route that ends a session."""

    @router.post(
        "/api/v1/signout",
        status_code=204,
        response_class=Response,
        responses=describe_problems(401, 403),
    )
    def sign_out(request: Request) -> Response:
        """Revoke the token of this request."""
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        asked = viewer(request)
        if scheme and asked.is_known:
            hub.sign_ins.end(asked, text.strip())
        return Response(status_code=204)


def add_pages(router: APIRouter, hub: Hub) -> None:
    """Add the forms of the pages."""

    @router.post(
        "/login",
        status_code=303,
        response_class=Response,
        openapi_extra=describe_form(),
        responses=describe_problems(401, 403),
    )
    async def log_in(request: Request) -> Response:
        """Begin a session of the pages."""
        check_form(request)
        form = parse_form(await read_body(request, MAX_BODY_BYTES, is_guest=True))
        request.state.typed = form  # for the page that tells of a failure
        text = await check_password(hub, request, form["username"], form["password"], PAGES)
        response = redirect(form.get("next", ""))
        keep_session(request, response, text, int(PAGES_DAYS * DAY_S))
        return response

    @router.post(
        "/logout", status_code=303, response_class=Response, responses=describe_problems(401, 403)
    )
    def log_out(request: Request) -> Response:
        """End the session of the pages."""
        check_form(request)
        text = session_of(request)
        asked = viewer(request) if text else None
        if asked is not None and asked.is_known:
            hub.sign_ins.end(asked, text)
        response = redirect("")
        forget_session(request, response)
        return response


def check_form(request: Request) -> None:
    """Answer 403 to a form of another site, which would sign a browser in or out.

    A program that is no browser sends neither header.
    """
    if any(name in request.headers for name in ("sec-fetch-site", "origin")):
        check_origin(request)


def parse_form(body: bytes) -> dict[str, str]:
    """Return the fields of the form. Raises `InvalidError`."""
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=10)
    except ValueError as error:
        raise InvalidError("this is not the form of a sign-in") from error
    found = {key: values[0] for key, values in fields.items()}
    for key in ("username", "password"):
        if key not in found:
            raise InvalidError(f"the form has no {key}")
    return found


def redirect(place: str) -> Response:
    """Return the way to a page of this hub."""
    return RedirectResponse(place if LOCAL.fullmatch(place) else "/", 303)


def describe_form() -> dict[str, Any]:
    """Return what OpenAPI is told of the form."""
    texts = {name: {"type": "string"} for name in ("username", "password", "next")}
    schema = {"type": "object", "properties": texts, "required": ["username", "password"]}
    return {"requestBody": {"content": {FORM: {"schema": schema}}, "required": True}}
