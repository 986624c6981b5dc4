"""What is in the hub, for people and for upstream's clients.

GET /flists/, /flists/<repo>/          pages that list repositories and their flists
GET /api/v1/fl                         every flist with its details, by repository
GET /api/v1/fl/preview/<path>          what is in flists/<repo>/<name>.fl (slashes as %2F, or not)
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Protocol

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import HTMLResponse

from flist.errors import FlistError
from flist.format.opening import AnyFlist, open_flist
from flist.format.signing.trailer import file_sha256
from flist.hub.errors import HubError
from flist.hub.names import is_flist, is_repo
from flist.hub.state.viewer import Viewer
from flist.model import ROOT_INO
from flist.server import api
from serving.content import FileKey, make_key
from serving.openapi import reading
from serving.pools import Pool

PLACE = "flists"
PREVIEW_PARTS = 3
MAX_PREVIEWED = 100_000
MAX_PATH_CHARS = 32 << 20
"""In all. In a tree of deep directories, the paths take far more than the names."""
KEPT_PREVIEWS = 8


class Shelf(Protocol):
    """What can be listed: the flists of a hub that a viewer may read, or those of a folder."""

    def names(self, asking: Viewer) -> list[str]:
        """Return `repo/name` of every flist."""

    def describe(self, asking: Viewer) -> dict[str, list[dict[str, object]]]:
        """Return the flists of each repository, described as upstream's server does."""

    def flist(self, asking: Viewer, repo: str, name: str) -> Path | None:
        """Return a file of the flist, or None if there is none."""


ViewerOf = Callable[[Request], Viewer]


def make_router(shelf: Shelf, viewer: ViewerOf, hashing: Pool) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    @router.get(f"/{api.FLISTS}")
    def describe_flists(request: Request) -> dict[str, list[dict[str, object]]]:
        """List every flist by repository, as upstream's server does."""
        return shelf.describe(viewer(request))

    @router.get(f"/{api.FLISTS}/preview/{{path:path}}")
    async def show_preview(request: Request, path: str) -> dict[str, object]:
        """List what a flist holds."""
        try:
            asking = await hashing.run(viewer, request)
            place = await hashing.run(find_flist, shelf, asking, path)
            return await hashing.run(preview, place)
        except FileNotFoundError as error:
            raise HTTPException(400, "it was removed a moment ago") from error
        except HubError:
            raise
        except FlistError as error:
            raise HTTPException(422, f"cannot read {path}: it is not a good flist") from error

    @reading(router, f"/{PLACE}/", response_class=HTMLResponse)
    def list_repos(request: Request) -> HTMLResponse:
        """Show the repositories."""
        repos = {name.partition("/")[0] for name in shelf.names(viewer(request))}
        return show("Repositories", (f"{name}/" for name in sorted(repos)))

    @reading(router, f"/{PLACE}/{{repo}}/", response_class=HTMLResponse)
    def list_repo(request: Request, repo: str) -> HTMLResponse:
        """Show the flists of a repository."""
        every = shelf.names(viewer(request))
        names = [name.partition("/")[2] for name in every if name.startswith(f"{repo}/")]
        if not names:
            raise HTTPException(404, "there is no such repository")
        return show(repo, names)

    return router


def show(title: str, names: Iterable[str]) -> HTMLResponse:
    """Return a page of links to `names`."""
    rows = "".join(f'<li><a href="{escape(n)}">{escape(n)}</a></li>\n' for n in names)
    head = f'<!doctype html>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
    return HTMLResponse(f"{head}<h1>{escape(title)}</h1>\n<ul>\n{rows}</ul>\n")


def find_flist(shelf: Shelf, asking: Viewer, path: str) -> Path:
    """Return the flist at `flists/<repo>/<name>.fl`; answers 400, as upstream's server."""
    parts = path.split("/")
    if len(parts) != PREVIEW_PARTS or parts[0] != PLACE:
        raise HTTPException(400, f"the path of a flist is {PLACE}/REPO/NAME.fl")
    repo, name = parts[1:]
    if not is_repo(repo) or not is_flist(name):
        raise HTTPException(400, f"the path of a flist is {PLACE}/REPO/NAME.fl")
    found = shelf.flist(asking, repo, name)
    if found is None:
        raise HTTPException(400, f"there is no flist {repo}/{name}")
    return found


def preview(path: Path) -> dict[str, object]:
    """Return the paths in a flist, its stores and its SHA-256. Raises `FlistError`."""
    return read_preview(path, make_key(path.stat()))


@lru_cache(KEPT_PREVIEWS)
def read_preview(path: Path, _key: FileKey) -> dict[str, object]:
    """Return the preview of a flist; what was asked for last is kept until the file changes."""
    with open_flist(path) as flist:
        stores = dict.fromkeys(route.url for route in flist.routes())
        return {
            "content": list_paths(flist),
            "metadata": "\n".join(stores),
            "checksum": file_sha256(path),
        }


def list_paths(flist: AnyFlist) -> list[str]:
    """Return every path in a flist; one that holds itself or too much raises `FlistError`."""
    paths, known = ["/"], {ROOT_INO}
    waiting = deque([(ROOT_INO, "")])
    left = MAX_PATH_CHARS
    while waiting:
        folder, place = waiting.popleft()
        for inode in flist.children(folder):
            path = f"{place}/{inode.name.decode(errors='replace')}"
            paths.append(path)
            left -= len(path)
            if inode.ino in known or len(paths) > MAX_PREVIEWED or left < 0:
                raise FlistError("too many entries, or one that is in two places")
            known.add(inode.ino)
            if inode.is_dir:
                waiting.append((inode.ino, path))
    return paths
