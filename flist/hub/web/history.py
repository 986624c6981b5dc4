"""The versions of a flist.

GET  /api/v1/fl/history/<repo>/<name>.fl     lists them
POST /api/v1/fl/rollback/<repo>/<name>.fl    publishes the version {"digest": SHA-256} again
"""

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from flist.hub.library.hub import Hub
from flist.hub.library.values import Version
from flist.hub.names import DIGEST, is_flist, is_repo
from flist.hub.state.viewer import PUBLISH
from flist.hub.web.bodies import MAX_JSON_BYTES, parse_model, read_json
from flist.hub.web.viewers import demand, viewer
from flist.server import api


class Digest(BaseModel):
    """The version that shall be published again."""

    digest: str


def make_router(hub: Hub) -> APIRouter:
    """Return the routes."""
    router = APIRouter()

    @router.get(f"/{api.HISTORY}/{{repo}}/{{name}}")
    def list_versions(request: Request, repo: str, name: str) -> dict[str, list[dict[str, object]]]:
        """List the versions of a flist, the one that is published first."""
        asking = viewer(request)
        if not is_repo(repo) or not is_flist(name):
            raise HTTPException(404, "there is no such flist")
        found = hub.flists.history(asking, repo, name)
        return {"versions": [describe(version) for version in found]}

    @router.post(f"/{api.ROLLBACK}/{{repo}}/{{name}}")
    async def roll_back(request: Request, repo: str, name: str) -> dict[str, str]:
        """Publish an earlier version of a flist again."""
        pool = hub.kit.pools.uploads
        asking = await pool.run(demand, request, PUBLISH)
        wanted = parse_model(await read_json(request, MAX_JSON_BYTES), Digest).digest
        if not is_repo(repo) or not is_flist(name) or not DIGEST.fullmatch(wanted):
            raise HTTPException(404, "there is no such version")
        await pool.run(hub.flists.roll_back, asking, repo, name, wanted)
        return {"message": "restored"}

    return router


def describe(version: Version) -> dict[str, object]:
    """Return a version as clients see it."""
    return {"digest": version.digest, "size": version.size, "published": int(version.published_s),
            "published_by": version.published_by, "is_current": version.is_current,
            "is_signed": version.is_signed}  # fmt: skip
