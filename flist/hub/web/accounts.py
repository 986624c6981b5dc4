"""Accounts and tokens over HTTP; `flist.hub.accounts.administration` says who may do what.

GET    /api/v1/account                              who the token is of
GET, POST /api/v1/accounts                          all accounts; a new one
GET, PATCH, DELETE /api/v1/accounts/NAME            one
GET    /api/v1/accounts/GROUP/members               the members of a group
PUT, DELETE /api/v1/accounts/GROUP/members/NAME     one of them
GET, POST /api/v1/tokens                            tokens; a new one
DELETE /api/v1/tokens/ID                            a token that is not needed any more
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from flist.hub.errors import NotSignedInError
from flist.hub.library.hub import Hub
from flist.hub.state.viewer import ADMIN, READ, Viewer
from flist.hub.web.bodies import parse_model, read_json
from flist.hub.web.models import (
    AccountChange,
    AccountView,
    NewAccount,
    NewToken,
    Own,
    TokenMade,
    TokenView,
    describe_body,
)
from flist.hub.web.viewers import Demand

MAX_BODY_BYTES = 16 << 10
T = TypeVar("T")
Reader = Annotated[Viewer, Depends(Demand(READ))]
Admin = Annotated[Viewer, Depends(Demand(ADMIN))]


def make_router(hub: Hub) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1", tags=["accounts"])
    add_own(router)
    add_accounts(router, hub)
    add_members(router, hub)
    add_tokens(router, hub)
    return router


def add_own(router: APIRouter) -> None:
    """Add the question who one is."""

    @router.get("/account")
    def show_own(viewer: Reader) -> Own:
        """Return who the request is by."""
        return Own(
            name=viewer.name,
            scopes=sorted(viewer.scopes),
            groups=sorted(viewer.groups),
            is_admin=viewer.is_admin,
            repository=viewer.repository,
        )


def add_accounts(router: APIRouter, hub: Hub) -> None:
    """Add the routes of accounts."""
    desk = hub.administration

    @router.get("/accounts")
    def list_accounts(viewer: Admin) -> list[AccountView]:
        """List all accounts (for administrators)."""
        return [AccountView.of(account) for account in desk.list(viewer)]

    @router.post("/accounts", status_code=201, openapi_extra=describe_body(NewAccount))
    async def create_account(request: Request, viewer: Admin) -> AccountView:
        """Make an account (for administrators)."""
        asked = parse_model(await read_json(request, MAX_BODY_BYTES), NewAccount)
        create = partial(desk.create, viewer, **asked.model_dump())
        return AccountView.of(await run_hashing(request, asked.password, create))

    @router.get("/accounts/{name}")
    def show_account(viewer: Reader, name: str) -> AccountView:
        """Return the own account, or for administrators any."""
        return AccountView.of(desk.find(viewer, name))

    @router.patch("/accounts/{name}", openapi_extra=describe_body(AccountChange))
    async def change_account(request: Request, viewer: Admin, name: str) -> AccountView:
        """Change the own password or key, or for administrators anything."""
        asked = parse_model(await read_json(request, MAX_BODY_BYTES), AccountChange)
        if asked.password is not None and name == viewer.name:
            await demand_current(request, hub, viewer, asked.current_password)
        change = partial(desk.change, viewer, name, asked.wanted)
        return AccountView.of(await run_hashing(request, asked.password, change))

    @router.delete("/accounts/{name}", status_code=204, response_class=Response)
    def delete_account(viewer: Admin, name: str) -> Response:
        """Remove an account that owns no repositories (for administrators)."""
        desk.delete(viewer, name)
        return Response(status_code=204)


async def demand_current(request: Request, hub: Hub, viewer: Viewer, password: str) -> None:
    """Answer 401 unless this is the viewer's present password, if there is one.

    Whoever finds a session open must not be able to keep the account.
    """
    account = await run_in_threadpool(hub.accounts.find, viewer.name)
    if not account.has_password:
        return
    check = hub.sign_ins.check_password
    pool = request.app.state.kit.pools.passwords
    try:
        await pool.run(check, viewer.name, password, viewer.address)
    except NotSignedInError as error:
        raise NotSignedInError("this is not the present password") from error


async def run_hashing(request: Request, password: str | None, call: Callable[[], T]) -> T:
    """Run a call in a thread: of those for passwords, if there is one to hash."""
    if password is None:
        return await run_in_threadpool(call)
    found: T = await request.app.state.kit.pools.passwords.run(call)
    return found


def add_members(router: APIRouter, hub: Hub) -> None:
    """Add the routes of groups' members."""
    desk = hub.administration

    @router.get("/accounts/{group}/members")
    def list_members(viewer: Reader, group: str) -> list[str]:
        """List the members of a group that one is in, or for administrators of any."""
        return list(desk.members(viewer, group))

    @router.put("/accounts/{group}/members/{name}", status_code=204, response_class=Response)
    def add_member(viewer: Admin, group: str, name: str) -> Response:
        """Make a user a member of a group (for administrators)."""
        desk.add_member(viewer, group, name)
        return Response(status_code=204)

    @router.delete("/accounts/{group}/members/{name}", status_code=204, response_class=Response)
    def remove_member(viewer: Admin, group: str, name: str) -> Response:
        """Take a user out of a group (for administrators)."""
        desk.remove_member(viewer, group, name)
        return Response(status_code=204)


def add_tokens(router: APIRouter, hub: Hub) -> None:
    """Add the routes of tokens."""
    desk = hub.administration

    @router.get("/tokens")
    def list_tokens(viewer: Admin, account: str = "") -> list[TokenView]:
        """List the tokens of the own account, or for administrators of any."""
        now_s = hub.tokens.clock()
        found = desk.list_tokens(viewer, account or viewer.name)
        return [TokenView.of(token, now_s) for token in found]

    @router.post("/tokens", status_code=201, openapi_extra=describe_body(NewToken))
    async def create_token(request: Request, viewer: Admin) -> TokenMade:
        """Make a token, which can do no more than the one of this request."""
        asked = parse_model(await read_json(request, MAX_BODY_BYTES), NewToken)
        text = await run_in_threadpool(
            desk.create_token, viewer, asked.account or viewer.name, asked.name, asked.scopes,
            asked.days, asked.repository,
        )  # fmt: skip
        return TokenMade(id=text.split("_")[1], token=text)

    @router.delete("/tokens/{mark}", status_code=204, response_class=Response)
    def revoke_token(viewer: Admin, mark: str) -> Response:
        """Make a token invalid at once."""
        desk.revoke_token(viewer, mark)
        return Response(status_code=204)
