"""The pages on which one publishes: upload, roll-back, removal."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from common.errors import ZosError
from flist.format.signing.signature import MAX_TEXT_CHARS
from flist.hub.errors import HubError, InvalidError
from flist.hub.names import is_flist, is_repo
from flist.hub.pages.finding import list_own
from flist.hub.state.viewer import PUBLISH, Viewer
from flist.hub.web.pages.forms import (
    field_of,
    file_of,
    pieces_of,
    read_fields,
    read_upload,
    take,
)
from flist.hub.web.pages.reading import show_flist
from flist.hub.web.pages.shared import ROOT, Desk, ask_to_sign_in, find_asked, go, show
from flist.hub.web.viewers import demand, viewer

HERE = "-/upload"
FORM_ROOM = 64 << 10  # for the fields and the signature beside the flist
TYPED_CHARS = 200


def make_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)
    add_upload(router, desk)
    add_versions(router, desk)
    return router


def add_upload(router: APIRouter, desk: Desk) -> None:
    """Add the page of uploads."""
    pool = desk.hub.kit.pools.uploads

    @router.get(f"/{HERE}")
    def form(request: Request, repository: str = "", name: str = "") -> Response:
        """Show the form."""
        asking = viewer(request)
        if not asking.is_known:
            return ask_to_sign_in(request)
        typed = {"repository": repository or asking.name, "name": name}
        return show_upload(desk, request, asking, typed, {})

    @router.post(f"/{HERE}")
    async def upload(request: Request) -> Response:
        """Publish what was sent with the form."""
        asking = await pool.run(demand, request, PUBLISH)
        async with Closing(
            await read_upload(request, desk.hub.settings.max_flist_bytes + FORM_ROOM)
        ) as sent:
            response: Response = await pool.run(take_upload, desk, request, asking, sent)
            return response


class Closing:
    """A form whose files are closed at the end of the block."""

    def __init__(self, form: FormData) -> None:
        self.form = form

    async def __aenter__(self) -> FormData:
        return self.form

    async def __aexit__(self, *_exc: object) -> None:
        await self.form.close()


def take_upload(desk: Desk, request: Request, asking: Viewer, form: FormData) -> Response:
    """Publish the flist of a form; show the form again with what is wrong."""
    file = file_of(form, "file")
    typed = {name: field_of(form, name)[:TYPED_CHARS] for name in ("repository", "name")}
    name = typed["name"] or (file.filename or "" if file is not None else "")
    errors = find_errors(typed["repository"], name, has_file=file is not None)
    if errors or file is None:
        return show_upload(desk, request, asking, typed, errors, 422)
    try:
        publish(desk, asking, typed["repository"], name, form)
    except HubError as error:
        said = {"": error.message + (f" ({error.hint})" if error.hint else "")}
        return show_upload(desk, request, asking, typed, said, error.http_status)
    return go(f"{ROOT}{typed['repository']}/{name}.md")


def find_errors(repo: str, name: str, *, has_file: bool) -> Mapping[str, str]:
    """Return what is wrong with each field of the form."""
    errors = {}
    if not is_repo(repo):
        errors["repository"] = "the name of a repository has letters, digits and . _ -"
    if not has_file:
        errors["file"] = "choose a flist"
    elif not is_flist(name):
        errors["name"] = "a flist's name has letters, digits and . _ + -, and ends in .fl or .flist"
    return errors


def publish(desk: Desk, asking: Viewer, repo: str, name: str, form: FormData) -> None:
    """Publish the flist of a form, with its signature if it came along."""
    hub, file = desk.hub, file_of(form, "file")
    assert file is not None
    hub.repositories.demand_write(asking, repo)
    signature = read_signature(form)
    draft = hub.contents.receive(pieces_of(file.file), hub.settings.max_flist_bytes)
    try:
        hub.flists.publish(asking, repo, name, draft, signature)
    finally:
        draft.discard()


def read_signature(form: FormData) -> str | None:
    """Return the signature of a form, None if there is none. Raises `InvalidError`."""
    file = file_of(form, "signature")
    if file is None:
        return None
    data = file.file.read(MAX_TEXT_CHARS + 1)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidError("the signature is not one") from error


def show_upload(
    desk: Desk,
    request: Request,
    asking: Viewer,
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    status: int = 200,
) -> Response:
    """Return the form."""
    return show(
        request,
        "upload.html",
        status,
        here=HERE,
        typed={name: text[:TYPED_CHARS] for name, text in typed.items()},
        errors=errors,
        repositories=list_own(desk.hub.database, asking),
        limit=desk.hub.settings.max_flist_bytes,
    )


def add_versions(router: APIRouter, desk: Desk) -> None:
    """Add what a flist's page changes."""
    pool = desk.hub.kit.pools.uploads

    @router.post("/{repo}/{name}/rollback")
    async def roll_back(request: Request, repo: str, name: str) -> Response:
        """Publish an earlier version again."""
        digest = take(await read_fields(request), "digest")
        response: Response = await pool.run(
            change, request, repo, name, desk.hub.flists.roll_back, digest
        )
        return response

    @router.post("/{repo}/{name}/delete")
    async def remove(request: Request, repo: str, name: str) -> Response:
        """Remove a flist with all its versions."""
        typed = take(await read_fields(request), "confirm")
        response: Response = await pool.run(delete, request, repo, name, typed)
        return response

    def change(request: Request, repo: str, name: str, act: Any, *values: str) -> Response:
        asking = demand(request, PUBLISH)
        asked = find_asked(desk, request, repo, name, "")
        try:
            act(asking, repo, name, *values)
        except HubError as error:
            return show_flist(desk, request, asked, f"{repo}/{name}", error.message)
        return go(f"{ROOT}{repo}/{name}.md")

    def delete(request: Request, repo: str, name: str, typed: str) -> Response:
        asking = demand(request, PUBLISH)
        asked = find_asked(desk, request, repo, name, "")
        try:
            if typed != name:
                raise InvalidError("nothing was deleted: the name that was typed is another one")
            desk.hub.flists.delete(asking, repo, name)
        except ZosError as error:
            return show_flist(desk, request, asked, f"{repo}/{name}", error.message)
        return go(f"{ROOT}{repo}")
