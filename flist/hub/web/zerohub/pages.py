"""The addresses of 0-hub's pages, and the forms that its scripts send there.

GET, POST /upload           a .tar.gz; the answer names a job, whose events are at /listen/JOB
GET, POST /upload-flist     a flist
GET, POST /merge            flists[] and name
GET, POST /docker-convert   docker-input, the name of an image
GET /search, /login-method, /logout, /readonly

A refusal shows the form again, with the status 200 and the reason: clients look for its words.
"""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from flist.hub.errors import HubError
from flist.hub.pages import tools
from flist.hub.pages.tools import Tool
from flist.hub.state.viewer import PUBLISH
from flist.hub.web.pages.shared import show
from flist.hub.web.viewers import demand, viewer
from flist.hub.web.zerohub import images
from flist.hub.web.zerohub.acting import Actor, act
from flist.hub.web.zerohub.building import Builder
from flist.hub.web.zerohub.catalog import Catalog
from flist.hub.web.zerohub.envelope import EnvelopeRoute
from flist.hub.web.zerohub.forms import Form, receive_form
from flist.hub.web.zerohub.listening import Reports
from flist.hub.web.zerohub.uploads import merge_sources, read_archive, read_flist, split_sources
from serving.kit import Kit

READ = ["GET", "HEAD"]
MAX_FOUND = 200


def make_router(builder: Builder, kit: Kit) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False, route_class=EnvelopeRoute)
    add_texts(router)
    add_search(router, builder.catalog)
    add_archives(router, builder, kit)
    add_flists(router, builder, kit)
    add_merges(router, builder, kit)
    add_images(router, builder, kit)
    return router


def is_read_only(request: Request) -> bool:
    """Return whether this hub takes no changes."""
    is_on: bool = request.app.state.kit.settings.read_only
    return is_on


def add_texts(router: APIRouter) -> None:
    """Add the pages without anything to send."""

    @router.api_route("/login-method", methods=READ)
    def choose_method(request: Request) -> Response:
        """Show how to sign in."""
        return show_tool(request, tools.LOGIN_METHOD)

    @router.api_route("/login-iyo", methods=READ)
    @router.api_route("/token", methods=READ)
    def sign_in() -> Response:
        """Lead to the form that begins a session."""
        return RedirectResponse("/login", 302)

    @router.api_route("/logout", methods=READ)
    def sign_out(request: Request) -> Response:
        """Show how to end a session; a GET ends none."""
        return show_tool(request, tools.LOGOUT)

    @router.api_route("/readonly", methods=READ)
    def tell_read_only(request: Request) -> Response:
        """Say that the hub takes no changes, if that is so."""
        if is_read_only(request):
            return show_tool(request, tools.READ_ONLY)
        return RedirectResponse("/", 302)


def add_search(router: APIRouter, catalog: Catalog) -> None:
    """Add the search for flists by name."""

    @router.api_route("/search", methods=READ)
    def search(request: Request, search: str = "") -> Response:
        """Show the flists with a text in their names."""
        wanted = search.strip().lower()[:100]
        names = catalog.names(viewer(request)) if wanted else []
        rows = [name for name in names if wanted in name.lower()][:MAX_FOUND]
        return show_tool(request, tools.SEARCH, rows=rows)


def show_tool(
    request: Request, tool: Tool, error: str = "", done: str = "", rows: object = ()
) -> Response:
    """Return a form."""
    return show(
        request,
        "zerohub.html",
        here=f"/{tool.action}",
        form=tool,
        error=error,
        done=done,
        rows=rows,
    )


def find_way(request: Request) -> Response | None:
    """Return where a client is sent that may not publish here; None if it may."""
    if is_read_only(request):
        return RedirectResponse("/readonly", 302)
    if not viewer(request).is_known:
        return RedirectResponse("/login-method", 302)
    return None


def add_form(router: APIRouter, tool: Tool) -> None:
    """Add the page with a form."""

    def show_form(request: Request) -> Response:
        """Show the form."""
        return find_way(request) or show_tool(request, tool)

    router.add_api_route(f"/{tool.action}", show_form, methods=READ)


def add_archives(router: APIRouter, builder: Builder, kit: Kit) -> None:
    """Add the form of archives."""
    add_form(router, tools.UPLOAD)
    pool, reports = kit.pools.uploads, Reports(builder.hub.database)

    @router.post("/upload")
    async def take_archive(request: Request) -> Response:
        """Make a flist of an archive. A browser gets a page, others the name of a job."""
        way = await pool.run(find_way, request)
        if way is not None:
            return way
        actor = act(request, await pool.run(demand, request, PUBLISH))
        async with receive_form(request, builder.folder, builder.limit, pool) as form:
            wish = read_archive(request, form)
            built = await builder.pool.run(builder.build_archive, actor, wish)
        if "text/html" in request.headers.get("accept", ""):
            return await pool.run(
                show_tool, request, tools.UPLOAD, "", f"{actor.repo}/{built.name}"
            )
        job = await pool.run(reports.keep, actor.viewer, built)
        return JSONResponse({"status": "success", "jobid": job})


def add_flists(router: APIRouter, builder: Builder, kit: Kit) -> None:
    """Add the form of flists."""
    add_form(router, tools.UPLOAD_FLIST)

    async def take(request: Request, actor: Actor, form: Form) -> str:
        wish = read_flist(request, form)
        built = await builder.pool.run(builder.take_flist, actor, wish)
        return built.name

    add_post(router, tools.UPLOAD_FLIST, builder, kit, take)


def add_merges(router: APIRouter, builder: Builder, kit: Kit) -> None:
    """Add the form of merges."""
    add_form(router, tools.MERGE)

    async def take(_request: Request, actor: Actor, form: Form) -> str:
        name = form.first("name")
        if name is None:
            raise HTTPException(400, "the form has no name")
        sources = split_sources([text for text in form.values("flists[]") if text])
        if not name:
            raise HubError("missing build (target) name")
        if "/" in name:
            raise HubError("build name not allowed")
        return await builder.pool.run(merge_sources, builder, actor, name, sources)

    add_post(router, tools.MERGE, builder, kit, take)


def add_images(router: APIRouter, builder: Builder, kit: Kit) -> None:
    """Add the form of container images."""
    add_form(router, tools.DOCKER)

    async def take(_request: Request, actor: Actor, form: Form) -> Response:
        pool, hub = kit.pools.uploads, builder.hub
        job = await pool.run(images.start, hub, actor, form.first("docker-input"))
        return RedirectResponse(f"/-/jobs/{job}", 303)

    add_post(router, tools.DOCKER, builder, kit, take)


def add_post(
    router: APIRouter,
    tool: Tool,
    builder: Builder,
    kit: Kit,
    take: Callable[[Request, Actor, Form], Awaitable[str | Response]],
) -> None:
    """Add what is done with a form: `take` returns the name of the flist that it has published, or
    the answer."""
    pool = kit.pools.uploads

    async def answer(request: Request) -> Response:
        """Do what a form asks for; show it again with the reason if that cannot be done."""
        way = await pool.run(find_way, request)
        if way is not None:
            return way
        actor = act(request, await pool.run(demand, request, PUBLISH))
        try:
            async with receive_form(request, builder.folder, builder.limit, pool) as form:
                done = await take(request, actor, form)
        except HubError as error:
            return await pool.run(show_tool, request, tool, error.message)
        if isinstance(done, Response):
            return done
        return await pool.run(show_tool, request, tool, "", f"{actor.repo}/{done}")

    router.add_api_route(f"/{tool.action}", answer, methods=["POST"])
