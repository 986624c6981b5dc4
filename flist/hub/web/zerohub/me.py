"""What an account does in its repository: /api/flist/me.

GET    /api/flist/me                                   whose token this is
GET, DELETE /api/flist/me/FLIST                        everything in a flist; remove it
GET    /api/flist/me/FLIST/link/NAME                   link NAME to FLIST
GET    /api/flist/me/NAME/crosslink/REPO/FLIST         link NAME to another repository's flist
GET    /api/flist/me/NAME/crosstag/REPO/TAG            let NAME stand for another repository's tag
GET    /api/flist/me/FLIST/rename/NAME                 rename a flist or link
GET    /api/flist/me/promote/REPO/FLIST/NAME           copy another repository's flist
GET, DELETE /api/flist/me/TAG/NAME/tag/REPO/FLIST      put a link into a tag; remove it

Upstream's clients change things by GET; PUT does the same.
"""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials
from starlette.responses import Response

from flist.hub.errors import AbsentError
from flist.hub.library.links import Links, Place
from flist.hub.state.viewer import PUBLISH, READ
from flist.hub.web.shared import headers_of
from flist.hub.web.viewers import BEARER
from flist.hub.web.zerohub.acting import Actor, find_actor, find_changer
from flist.hub.web.zerohub.catalog import Catalog
from flist.hub.web.zerohub.envelope import CHANGING, IN_PARTS, EnvelopeRoute, success
from flist.hub.web.zerohub.names import with_suffix
from flist.hub.web.zerohub.public import JSON
from serving.pools import Pool
from serving.respond import send_content

ME = "/api/flist/me"
Endpoint = Callable[..., Response]
Token = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]


def reads(request: Request, _sent: Token) -> Actor:
    """Return who reads its own repository."""
    return find_actor(request, READ)


def changes(request: Request, _sent: Token) -> Actor:
    """Return who changes its own repository."""
    return find_changer(request, PUBLISH)


Reader = Annotated[Actor, Depends(reads)]
Changer = Annotated[Actor, Depends(changes)]


def change(router: APIRouter, path: str) -> Callable[[Endpoint], Endpoint]:
    """Add an address that changes something, by PUT and by GET."""

    def add(endpoint: Endpoint) -> Endpoint:
        router.add_api_route(path, endpoint, methods=["PUT"])
        by_get = f"{endpoint.__name__}_by_get"
        router.add_api_route(path, endpoint, methods=["GET"], operation_id=by_get)
        return endpoint

    return add


def make_router(catalog: Catalog, hashing: Pool) -> APIRouter:
    """Return the routes."""
    router = APIRouter(route_class=EnvelopeRoute, responses=CHANGING)
    add_own(router, catalog, hashing)
    add_links(router, catalog)
    add_tags(router, catalog)
    add_moves(router, catalog)
    return router


def add_own(router: APIRouter, catalog: Catalog, hashing: Pool) -> None:
    """Add what concerns the account and one flist of it."""

    @router.get(ME)
    def tell_name(actor: Reader) -> Response:
        """Tell in whose repository the token's owner acts."""
        return success({"username": actor.repo})

    @router.get(f"{ME}/{{name}}", response_class=Response, responses=IN_PARTS)
    async def list_contents(request: Request, actor: Reader, name: str) -> Response:
        """List everything in a flist."""
        found = await hashing.run(catalog.listing, actor.viewer, actor.repo, name)
        return send_content(request, found, JSON, headers_of({}, is_open=False))

    @router.delete(f"{ME}/{{name}}")
    def delete_flist(actor: Changer, name: str) -> Response:
        """Remove a flist, a link or a tag link."""
        catalog.hub.flists.delete(actor.viewer, actor.repo, find_any(catalog, actor, name))
        return success()


def find_any(catalog: Catalog, actor: Actor, name: str) -> str:
    """Return the entry that a name means; it may be a tag link. Raises `AbsentError`."""
    try:
        return catalog.file_of(actor.viewer, actor.repo, name)
    except AbsentError:
        if catalog.links.look(actor.viewer, actor.repo, name) is None:
            raise
        return name


def find_source(catalog: Catalog, actor: Actor, repo: str, name: str) -> Place:
    """Return the flist of another repository that a link shall lead to. Raises `AbsentError`."""
    if catalog.is_absent(actor.viewer, repo):
        raise AbsentError("source repository not found")
    return find_place(catalog, actor, repo, name)


def find_place(catalog: Catalog, actor: Actor, repo: str, name: str) -> Place:
    """Return a flist that is there, or a link that leads to one. Raises `AbsentError`."""
    found = catalog.find(actor.viewer, repo, name)
    found.demand_flist()
    return repo, found.entry.name


def named_like(name: str, source: str) -> str:
    """Return a new name with the suffix of its source, if the client gave none."""
    return with_suffix(name, "." + source.rpartition(".")[2])


def add_links(router: APIRouter, catalog: Catalog) -> None:
    """Add links to flists."""
    links: Links = catalog.links

    @change(router, f"{ME}/{{source}}/link/{{name}}")
    def link(actor: Changer, source: str, name: str) -> Response:
        """Link a name to a flist of the same repository."""
        target = find_place(catalog, actor, actor.repo, source)
        links.link(actor.viewer, actor.repo, named_like(name, target[1]), target)
        return success()

    @change(router, f"{ME}/{{name}}/crosslink/{{repo}}/{{source}}")
    def link_across(actor: Changer, name: str, repo: str, source: str) -> Response:
        """Link a name to another repository's flist."""
        target = find_source(catalog, actor, repo, source)
        links.link(actor.viewer, actor.repo, named_like(name, target[1]), target)
        return success()


def add_tags(router: APIRouter, catalog: Catalog) -> None:
    """Add tags and links to them."""
    links: Links = catalog.links

    @change(router, f"{ME}/{{name}}/crosstag/{{repo}}/{{tag}}")
    def link_tag(actor: Changer, name: str, repo: str, tag: str) -> Response:
        """Let a name stand for another repository's tag."""
        if catalog.is_absent(actor.viewer, repo):
            raise AbsentError("source repository not found")
        links.link_tag(actor.viewer, actor.repo, name, (repo, tag))
        return success()

    @change(router, f"{ME}/{{tag}}/{{name}}/tag/{{repo}}/{{source}}")
    def put_into_tag(actor: Changer, tag: str, name: str, repo: str, source: str) -> Response:
        """Put a link to a flist into a tag."""
        target = find_source(catalog, actor, repo, source)
        links.link(actor.viewer, actor.repo, named_like(name, target[1]), target, tag)
        return success()

    @router.delete(f"{ME}/{{tag}}/{{name}}/tag/{{repo}}/{{source}}")
    def remove_from_tag(actor: Changer, tag: str, name: str, repo: str, source: str) -> Response:
        """Remove a link from a tag. Upstream's clients also say where it leads."""
        del repo, source
        links.untag(
            actor.viewer, actor.repo, tag, catalog.tagged(actor.viewer, actor.repo, tag, name)
        )
        return success()


def add_moves(router: APIRouter, catalog: Catalog) -> None:
    """Add what gives a flist another name or place."""
    links: Links = catalog.links

    @change(router, f"{ME}/{{name}}/rename/{{wanted}}")
    def rename(actor: Changer, name: str, wanted: str) -> Response:
        """Give a flist or link another name."""
        found = catalog.file_of(actor.viewer, actor.repo, name)
        links.rename(actor.viewer, actor.repo, found, named_like(wanted, found))
        return success()

    @change(router, f"{ME}/promote/{{repo}}/{{source}}/{{name}}")
    def promote(actor: Changer, repo: str, source: str, name: str) -> Response:
        """Copy another repository's flist."""
        found = find_place(catalog, actor, repo, source)
        wanted = named_like(name, found[1])
        links.promote(actor.viewer, found, actor.repo, wanted)
        return success({
            "source": {"username": repo, "filename": found[1]},
            "destination": {"username": actor.repo, "filename": wanted},
        })  # fmt: skip
