"""Repositories over HTTP: whose they are, who may read them, whose signatures they demand.

GET, POST /api/v1/repositories              those that one may read; a new one
GET, PATCH /api/v1/repositories/NAME        one
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials
from starlette.concurrency import run_in_threadpool

from flist.hub.library.hub import Hub
from flist.hub.state.viewer import ADMIN, PUBLISH, Viewer
from flist.hub.web.accounts import MAX_BODY_BYTES
from flist.hub.web.bodies import parse_model, read_json
from flist.hub.web.models import NewRepository, RepositoryChange, RepositoryView, describe_body
from flist.hub.web.viewers import BEARER, Demand, viewer

Publisher = Annotated[Viewer, Depends(Demand(PUBLISH))]
Admin = Annotated[Viewer, Depends(Demand(ADMIN))]


def offer(
    request: Request, _sent: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]
) -> Viewer:
    """Return who a request is by, which needs no token."""
    return viewer(request)


def make_router(hub: Hub) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api/v1/repositories", tags=["repositories"])
    known = hub.repositories

    @router.get("")
    def list_repositories(asked: Annotated[Viewer, Depends(offer)]) -> list[RepositoryView]:
        """List the repositories that one may read."""
        return [RepositoryView.of(found) for found in known.list(asked)]

    @router.post("", status_code=201, openapi_extra=describe_body(NewRepository))
    async def create_repository(request: Request, asked: Publisher) -> RepositoryView:
        """Make a repository."""
        new = parse_model(await read_json(request, MAX_BODY_BYTES), NewRepository)
        return RepositoryView.of(
            await run_in_threadpool(
                known.create, asked, new.name, owner=new.owner, is_private=new.is_private
            )
        )

    @router.get("/{name}")
    def show_repository(asked: Annotated[Viewer, Depends(offer)], name: str) -> RepositoryView:
        """Return a repository that one may read."""
        return RepositoryView.of(known.find(asked, name))

    @router.patch("/{name}", openapi_extra=describe_body(RepositoryChange))
    async def change_repository(request: Request, asked: Admin, name: str) -> RepositoryView:
        """Change a repository that one may publish in.

        A token that only publishes must not be able to do without the signatures.
        """
        change = parse_model(await read_json(request, MAX_BODY_BYTES), RepositoryChange)
        return RepositoryView.of(
            await run_in_threadpool(known.change, asked, name, **change.wanted)
        )

    return router
