"""The versions of a flist: GET /api/v1/fl/history/<repo>/<name>.fl lists them."""

from fastapi import APIRouter, HTTPException

from flist.hub.library import FILE, is_repo
from flist.hub.versions import Versions
from flist.server import api
from serving.kit import Kit


def make_router(versions: Versions, kit: Kit) -> APIRouter:
    """Return the route that lists versions."""
    router = APIRouter()

    @router.get(f"/{api.HISTORY}/{{repo}}/{{name}}")
    async def list_versions(repo: str, name: str) -> dict[str, list[dict[str, object]]]:
        """List the versions of a flist, the one that is published first."""
        if not is_repo(repo) or not FILE.fullmatch(name) or name.endswith(".sig"):
            raise HTTPException(404, "there is no such flist")
        found = await kit.pools.hashing.run(versions.list, repo, name)
        if not found:
            raise HTTPException(404, "there is no such flist")
        rows = [
            {"digest": version.digest, "size": version.size, "published": int(version.published_s),
             "is_current": version.is_current, "is_signed": version.is_signed}
            for version in found
        ]  # fmt: skip
        return {"versions": rows}

    return router
