"""The pages of repositories and flists."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import Response

from flist.errors import FlistError
from flist.hub.errors import AbsentError, HubError
from flist.hub.library.values import Entry, Repository, Version
from flist.hub.names import is_repo
from flist.hub.pages.commands import Place, list_ways
from flist.hub.pages.finding import (
    PAGE_ROWS,
    find_keys,
    find_newest,
    list_repositories,
    list_tags,
    search_flists,
)
from flist.hub.pages.opened import flist_of
from flist.hub.pages.readme import TAG, find_readme, render_readme
from flist.hub.pages.signers import Signer, read_inside, read_signer, show_key
from flist.hub.pages.words import say_count, say_size
from flist.hub.state.viewer import Viewer
from flist.hub.web.pages.shared import Asked, Desk, find_asked, hub_url, show
from flist.hub.web.viewers import viewer

TEXT_CHARS = 100
READ = ["GET", "HEAD"]
TAG_CHARS = 300


class Line(NamedTuple):
    """A flist in a list."""

    repository: str
    name: str
    target: str | None
    size: int
    changed_s: float
    with_repository: bool


def make_router(desk: Desk) -> APIRouter:
    """Return the routes."""
    router = APIRouter(include_in_schema=False, default_response_class=Response)

    @router.api_route("/", methods=READ)
    async def home(request: Request, q: str = "", after: str = "") -> Response:
        """Show what is on this hub."""
        text = q.strip()[:TEXT_CHARS]
        return await desk.pool.run(show_home, desk, request, text, after[:TEXT_CHARS])

    @router.api_route("/{repo}/tags/{tag}", methods=READ)
    async def of_tag(request: Request, repo: str, tag: str) -> Response:
        """Show the flists of a tag."""
        return await desk.pool.run(show_repository, desk, request, repo, tag, "")

    @router.api_route("/{repo}/{name}.md", methods=READ)
    async def flist(request: Request, repo: str, name: str, version: str = "") -> Response:
        """Show a flist."""
        return await desk.pool.run(find_and_show, desk, request, repo, name, version)

    @router.api_route("/{repo}", methods=READ)
    async def repository(request: Request, repo: str, after: str = "") -> Response:
        """Show a repository."""
        return await desk.pool.run(show_repository, desk, request, repo, "", after)

    return router


def show_home(desk: Desk, request: Request, text: str, after: str) -> Response:
    """Return the first page, or what was searched."""
    asking, database = viewer(request), desk.hub.database
    repositories = list_repositories(database, asking, text, after)
    found = search_flists(database, asking, text) if text and not after else []
    newest = find_newest(database, asking) if not text and not after else []
    return show(
        request,
        "home.html",
        here="",
        text=text,
        found=list_lines(found[:PAGE_ROWS], with_repository=True),
        is_cut=len(found) > PAGE_ROWS,
        newest=list_lines(newest, with_repository=True),
        repositories=repositories[:PAGE_ROWS],
        following=repositories[PAGE_ROWS - 1].name if len(repositories) > PAGE_ROWS else "",
    )


def list_lines(entries: Sequence[Entry], *, with_repository: bool) -> Sequence[Line]:
    """Return flists as lines of a list."""
    return [
        Line(entry.repository, entry.name, entry.target, entry.size, entry.changed_s,
             with_repository)
        for entry in entries
    ]  # fmt: skip


def show_repository(desk: Desk, request: Request, repo: str, tag: str, after: str) -> Response:
    """Return the page of a repository, or of one of its tags."""
    asking = viewer(request)
    if not is_repo(repo):
        raise AbsentError("there is no such repository")
    repository = desk.hub.repositories.find(asking, repo)
    every = desk.hub.flists.entries(asking, repo, tag)
    # In the order of Python, which "behind" means here: a database may have another one.
    entries = sorted((entry for entry in every if entry.name), key=lambda entry: entry.name)
    if tag and not entries:
        raise AbsentError(f"there is no such tag in {repo}")
    rest = [entry for entry in entries if entry.name > after]
    return show(
        request,
        "repository.html",
        here="",
        repository=repository,
        tag=tag,
        total=len(entries),
        signers=[show_key(key) for key in repository.signers],
        entries=list_lines(rest[:PAGE_ROWS], with_repository=False),
        following=rest[PAGE_ROWS - 1].name if len(rest) > PAGE_ROWS else "",
        tags=[] if tag else list_tags(desk.hub.database, repository),
        may_write=may_write(desk, asking, repository),
        publish=say_publish(hub_url(request, desk), repo),
    )


def say_publish(hub: str, repo: str) -> str:
    """Return how to publish from a terminal."""
    return (
        "export RFS_TOKEN=TOKEN\n"
        f'zos flist pack -m NAME.fl -s "server://{hub}?token=$RFS_TOKEN" DIRECTORY\n'
        f"zos flist publish -m NAME.fl -s {hub} {repo}/NAME.fl"
    )


def may_write(desk: Desk, asking: Viewer, repository: Repository) -> bool:
    """Return whether to offer what changes a repository; the change itself asks again."""
    try:
        desk.hub.repositories.check_write(asking, repository)
    except HubError:
        return False
    return True


def find_and_show(desk: Desk, request: Request, repo: str, name: str, version: str) -> Response:
    """Return the page of a flist's version."""
    asked = find_asked(desk, request, repo, name, version)
    return show_flist(desk, request, asked, f"{repo}/{name}")


def show_flist(desk: Desk, request: Request, asked: Asked, name: str, error: str = "") -> Response:
    """Return the page of a flist; `name` is how the address calls it, which may be a link."""
    hub, entry, version = desk.hub, asked.entry, asked.version
    repository = hub.repositories.find(asked.asking, entry.repository)
    signers = list_signers(desk, repository, version)
    facts = read_facts(desk, asked)
    by = next((signer for signer in signers if signer.key), Signer(""))
    place = Place(hub_url(request, desk), entry.repository, entry.name, by.name, by.key)
    return show(
        request,
        "flist.html",
        422 if error else 200,
        here="",
        entry=entry,
        link=name if name != asked.place else "",
        repository=repository,
        version=version,
        at_version=asked.at_version,
        is_old=not version.is_current,
        error=error,
        signers=signers,
        ways=list_ways(place),
        versions=list_versions(hub.flists.history(asked.asking, entry.repository, entry.name)),
        may_write=may_write(desk, asked.asking, repository),
        **facts,
    )


def read_facts(desk: Desk, asked: Asked) -> dict[str, Any]:
    """Return what the flist itself says; it was checked when it was published."""
    try:
        with desk.open(asked.asking, asked.version.digest) as tree:
            flist, (count, size) = flist_of(tree), tree.totals
            tags, stores = flist.tags(), flist.routes()
    except FlistError:
        return {"totals": "", "readme": "", "tags": {}, "stores": [], "is_damaged": True}
    text = find_readme(tags)
    return {
        "totals": f"{say_count(count, 'entry', 'entries')}, {say_size(size)} of files",
        "readme": render_readme(text) if text else "",
        "tags": cut_tags(tags),
        "stores": [store.url for store in stores],
        "is_damaged": False,
    }


def cut_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    """Return the tags to list, each no longer than people read."""
    return {
        name: value if len(value) <= TAG_CHARS else value[:TAG_CHARS] + "..."
        for name, value in tags.items()
        if name != TAG
    }


def list_signers(desk: Desk, repository: Repository, version: Version) -> Sequence[Signer]:
    """Return who has signed a version."""
    texts = [(version.signature, version.digest)] if version.signature else []
    try:
        inside = read_inside(desk.hub.contents.path(version.digest))
    except (OSError, FlistError):
        inside = []
    keys = known_keys(desk, repository, version)
    return [read_signer(text, digest, keys) for text, digest in [*texts, *inside]]


def known_keys(desk: Desk, repository: Repository, version: Version) -> Mapping[str, str]:
    """Return whose the keys are that may have signed, by key."""
    found = find_keys(desk.hub.database, {version.published_by, repository.owner})
    keys = {key: f"the key of {name}" for key, name in found.items()}
    return {**keys, **dict.fromkeys(repository.signers, "a key of this repository")}


def list_versions(versions: Sequence[Version]) -> Sequence[Mapping[str, Any]]:
    """Return the versions by age, each with the digest of the one before."""
    ordered = sorted(versions, key=lambda version: -version.published_s)
    olders = [version.digest for version in ordered[1:]] + [""]
    return [
        {"version": version, "before": older}
        for version, older in zip(ordered, olders, strict=True)
    ]
