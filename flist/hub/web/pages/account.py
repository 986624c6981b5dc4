"""The pages of one's account: signing in, tokens; and the audit log, for administrators."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from flist.hub.errors import ForbiddenError, HubError, InvalidError
from flist.hub.state.viewer import ADMIN, PUBLISH, READ, SCOPES, UPLOAD, Viewer
from flist.hub.web.pages.forms import read_fields, take
from flist.hub.web.pages.shared import (
    LOGIN,
    NEXT_CHARS,
    ROOT,
    Desk,
    ask_to_sign_in,
    find_provider,
    go,
    show,
)
from flist.hub.web.viewers import demand, viewer

HERE, AUDIT = "-/account", "-/audit"
DAYS = "90"
AUDIT_ROWS = 100
SAID = {
    READ: "read private repositories",
    UPLOAD: "upload blocks and files",
    PUBLISH: "publish flists, and remove them",
    ADMIN: "change accounts and repositories",
}
"""What a person reads of each scope."""


def make_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)
    add_sign_in(router)
    add_tokens(router, desk)
    add_audit(router, desk)
    return router


def add_sign_in(router: APIRouter) -> None:
    """Add the form that begins a session; `flist.hub.web.sessions` takes it."""

    @router.get(f"/{LOGIN}")
    def sign_in(request: Request, next: str = "") -> Response:  # noqa: A002 the query's word
        """Show the form."""
        return show(
            request,
            "signin.html",
            here=LOGIN,
            errors={},
            typed="",
            next=next[:NEXT_CHARS],
            oidc_at=find_provider(request),
        )


def add_tokens(router: APIRouter, desk: Desk) -> None:
    """Add the page of tokens."""
    pool = desk.hub.kit.pools.uploads

    @router.get(f"/{HERE}")
    def tokens(request: Request) -> Response:
        """Show one's tokens."""
        if not viewer(request).is_known:
            return ask_to_sign_in(request)
        return show_tokens(desk, request, NEW, {})

    @router.post("/-/tokens")
    async def create(request: Request) -> Response:
        """Make a token, and show it this once."""
        response: Response = await pool.run(make_token, desk, request, await read_fields(request))
        return response

    @router.post("/-/tokens/{mark}/revoke")
    def revoke(request: Request, mark: str) -> Response:
        """Make a token invalid."""
        asking = demand(request, ADMIN)
        desk.hub.administration.revoke_token(asking, mark)
        return go(f"{ROOT}{HERE}")


NEW = {"name": "", "scopes": (READ, UPLOAD, PUBLISH), "repository": "", "days": DAYS}


def make_token(desk: Desk, request: Request, fields: Mapping[str, list[str]]) -> Response:
    """Make the token of a form; show the form again with what is wrong."""
    asking = demand(request, ADMIN)
    typed: dict[str, Any] = {name: take(fields, name)[:100] for name in NEW}
    typed["scopes"] = tuple(scope for scope in fields.get("scopes", ()) if scope in SCOPES)
    try:
        text = desk.hub.administration.create_token(
            asking,
            asking.name,
            typed["name"],
            typed["scopes"],
            read_days(typed["days"]),
            typed["repository"] or None,
        )
    except HubError as error:
        return show_tokens(desk, request, typed, {"": error.message}, status=error.http_status)
    return show_tokens(desk, request, NEW, {}, made=text)


def read_days(text: str) -> int:
    """Return a number of days. Raises `InvalidError`."""
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise InvalidError("the days are a whole number; 0 is without end")
    return int(text)


def show_tokens(
    desk: Desk,
    request: Request,
    typed: Mapping[str, Any],
    errors: Mapping[str, str],
    *,
    made: str = "",
    status: int = 200,
) -> Response:
    """Return the page of tokens; with `made`, a new one."""
    asking = demand(request, ADMIN)
    page = show(
        request,
        "account.html",
        status,
        here=HERE,
        tokens=list_tokens(desk, asking),
        typed=typed,
        errors=errors,
        made=made,
        scopes={scope: SAID[scope] for scope in SCOPES if scope in asking.scopes},
    )
    page.headers["Cache-Control"] = "no-store"  # a token may be in it
    return page


def list_tokens(desk: Desk, asking: Viewer) -> Sequence[Mapping[str, Any]]:
    """Return one's tokens, those that are valid first, then the newest."""
    now_s = time.time()
    rows = [
        {"token": token, "over": token.find_fault(now_s) or ""}
        for token in desk.hub.administration.list_tokens(asking, asking.name)
    ]
    return sorted(rows, key=lambda row: (bool(row["over"]), -row["token"].created_s))


def add_audit(router: APIRouter, desk: Desk) -> None:
    """Add the audit log."""

    @router.get(f"/{AUDIT}")
    def audit(request: Request, before: int = Query(0, ge=0, lt=1 << 62)) -> Response:
        """Show who has changed what."""
        asking = viewer(request)
        if not asking.is_known:
            return ask_to_sign_in(request)
        if not asking.is_admin or ADMIN not in asking.scopes:
            raise ForbiddenError("the audit log is for administrators")
        rows = desk.hub.audit.page(before=before)
        following = rows[-1].id if len(rows) == AUDIT_ROWS else 0
        return show(request, "audit.html", here=AUDIT, rows=rows, following=following)
