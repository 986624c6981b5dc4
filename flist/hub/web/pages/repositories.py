"""The pages on which one makes a repository, and says who may read it and who has to sign."""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from flist.hub.errors import HubError, InvalidError
from flist.hub.library.values import Repository
from flist.hub.pages.signers import show_key
from flist.hub.state.viewer import ADMIN, PUBLISH
from flist.hub.web.pages.forms import read_fields, take
from flist.hub.web.pages.shared import ROOT, Desk, ask_to_sign_in, go, show
from flist.hub.web.viewers import demand, viewer

HERE = "-/repositories"
KEY_BYTES = 32
MAX_SIGNERS = 100
COUNT = re.compile("[0-9]{1,3}")
NEW = {"name": "", "owner": "", "is_private": False}
Fields = Mapping[str, list[str]]


def make_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)
    pool = desk.hub.kit.pools.uploads

    @router.get(f"/{HERE}")
    def form(request: Request) -> Response:
        """Show the form of a new repository."""
        if not viewer(request).is_known:
            return ask_to_sign_in(request)
        return show_new(request, NEW, {})

    @router.post(f"/{HERE}")
    async def create(request: Request) -> Response:
        """Make a repository."""
        response: Response = await pool.run(make, desk, request, await read_fields(request))
        return response

    @router.get(f"/{HERE}/{{name}}")
    def settings(request: Request, name: str) -> Response:
        """Show the settings of a repository."""
        asking = viewer(request)
        if not asking.is_known:
            return ask_to_sign_in(request)
        repository = desk.hub.repositories.find(asking, name)
        desk.hub.repositories.check_write(asking, repository)
        return show_settings(request, repository, typed_of(repository), {})

    @router.post(f"/{HERE}/{{name}}")
    async def change(request: Request, name: str) -> Response:
        """Change the settings of a repository."""
        response: Response = await pool.run(
            take_settings, desk, request, name, await read_fields(request)
        )
        return response

    return router


def make(desk: Desk, request: Request, fields: Fields) -> Response:
    """Make the repository of a form; show the form again with what is wrong."""
    asking = demand(request, PUBLISH)
    typed = {"name": take(fields, "name")[:100], "owner": take(fields, "owner")[:100]}
    is_private = bool(take(fields, "is_private"))
    try:
        desk.hub.repositories.create(
            asking, typed["name"], owner=typed["owner"], is_private=is_private
        )
    except HubError as error:
        again = {**typed, "is_private": is_private}
        return show_new(request, again, {"name": error.message}, error.http_status)
    return go(f"{ROOT}{typed['name']}")


def take_settings(desk: Desk, request: Request, name: str, fields: Fields) -> Response:
    """Change a repository as a form says; show the form again with what is wrong.

    A token that only publishes must not be able to do without the signatures.
    """
    asking = demand(request, ADMIN)
    repository = desk.hub.repositories.find(asking, name)
    typed = {
        "is_private": bool(take(fields, "is_private")),
        "signers": take(fields, "signers"),
        "threshold": take(fields, "threshold"),
    }
    try:
        desk.hub.repositories.change(
            asking,
            name,
            is_private=typed["is_private"],
            **read_signers(str(typed["signers"]), str(typed["threshold"])),
        )
    except HubError as error:
        said = {getattr(error, "field", None) or "": error.message}
        return show_settings(request, repository, typed, said, error.http_status)
    return go(f"{ROOT}{name}")


def read_signers(text: str, threshold: str) -> dict[str, Any]:
    """Return the keys of a form, base64 or hex, and how many have to sign."""
    keys = [read_key(line.strip()) for line in text.splitlines() if line.strip()]
    if len(keys) > MAX_SIGNERS:
        raise InvalidError(f"at most {MAX_SIGNERS} keys")
    if not COUNT.fullmatch(threshold) or int(threshold) > len(set(keys)):
        raise InvalidError(f"how many have to sign is a number from 0 to {len(set(keys))}")
    return {"signers": sorted(set(keys)), "threshold": int(threshold)}


def read_key(text: str) -> str:
    """Return a public key as hex. Raises `InvalidError`."""
    try:
        key = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else base64.b64decode(text)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidError(f"not a public key: {text[:60]}", hint="as in a file of `keygen`")
    return key.hex()


def typed_of(repository: Repository) -> Mapping[str, Any]:
    """Return what the form of a repository has in its fields."""
    return {
        "is_private": repository.is_private,
        "signers": "\n".join(map(show_key, repository.signers)),
        "threshold": repository.threshold,
    }


def show_new(
    request: Request, typed: Mapping[str, Any], errors: Mapping[str, str], status: int = 200
) -> Response:
    """Return the form of a new repository."""
    return show(request, "new.html", status, here="", typed=typed, errors=errors)


def show_settings(
    request: Request,
    repository: Repository,
    typed: Mapping[str, Any],
    errors: Mapping[str, str],
    status: int = 200,
) -> Response:
    """Return the form of a repository's settings."""
    values = {"repository": repository, "typed": typed, "errors": errors}
    return show(request, "settings.html", status, here="", **values)
