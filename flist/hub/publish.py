"""Publishing flists, which needs a token.

PUT  /<repo>/<name>.fl, .fl.sig                a flist or its signature, whole or not at all
POST /api/v1/fl/rollback/<repo>/<name>.fl      publish the version {"digest": SHA-256} again
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel

from common.files import open_atomic
from flist.errors import FlistError, SignatureError
from flist.format.opening import open_flist
from flist.format.signing.signature import MAX_TEXT_CHARS, parse_signature
from flist.hub.access import Access
from flist.hub.bodies import MAX_JSON_BYTES, parse_model, read_json
from flist.hub.library import FILE, is_repo
from flist.hub.versions import Versions
from flist.server import api
from flist.store.folder import FolderStore
from serving.bodies import PIECE_BYTES, read_pieces, save_stream
from serving.kit import Kit

MAX_FLIST_BYTES = 1 << 30
SIGNATURE = ".sig"


class Digest(BaseModel):
    """The version that shall be published again."""

    digest: str


class Publisher:
    """Puts flists and signatures into the hub folder `root`; their blocks come into `store`."""

    def __init__(self, root: Path, store: FolderStore, access: Access, versions: Versions) -> None:
        self.flists = root / "flists"
        self.store = store
        self.access = access
        self.versions = versions

    def prepare(self, repo: str, name: str, user: str) -> None:
        """Answer 403 or 409 before the body is read, if this cannot be published."""
        if not is_repo(repo) or not FILE.fullmatch(name):
            raise HTTPException(400, "not the name of a flist")
        self.access.check_owner(repo, user)
        folder = self.flists / repo
        if (folder.exists() and not folder.is_dir()) or (folder / name).is_dir():
            raise HTTPException(409, "something that is no flist has this name on the hub")
        self.store.flush()  # its blocks are on disk before the flist is
        folder.mkdir(parents=True, exist_ok=True)

    def opener(self, repo: str, name: str, user: str) -> "Opener":
        """Return what opens the new file, and puts it into its place once it has been checked."""

        @contextmanager
        def open_checked(path: Path) -> Iterator[BinaryIO]:
            with ExitStack() as held, open_atomic(path) as stream:
                yield stream
                stream.flush()
                check_content(Path(stream.name), is_signature=name.endswith(SIGNATURE))
                held.enter_context(self.versions.locked(repo))  # until the file has its name
                self.access.claim(repo, user)
                if name.endswith(SIGNATURE):
                    self.versions.keep_signature(repo, name.removesuffix(SIGNATURE))
                else:
                    self.versions.keep(repo, name, Path(stream.name))

        return open_checked


Opener = Callable[[Path], AbstractContextManager[BinaryIO]]


def check_content(path: Path, *, is_signature: bool) -> None:
    """Answer 422 unless the file `path` is a flist, or a signature."""
    try:
        if is_signature:
            parse_signature(path.read_text())
        else:
            open_flist(path).close()
    except SignatureError as error:
        raise HTTPException(422, "this is not a signature") from error
    except (FlistError, UnicodeDecodeError) as error:
        # The error's text names a temporary file of this machine.
        what = "signature" if is_signature else "flist"
        raise HTTPException(422, f"this is not a {what}") from error


def make_router(publisher: Publisher, kit: Kit) -> APIRouter:
    """Return the routes that publish."""
    router = APIRouter()
    access, versions, pool = publisher.access, publisher.versions, kit.pools.uploads

    @router.put("/{repo}/{name}", status_code=201)
    async def take_flist(request: Request, repo: str, name: str) -> dict[str, str]:
        """Store a flist or its signature."""
        user = access.demand_user(request)
        await pool.run(publisher.prepare, repo, name, user)
        limit = MAX_TEXT_CHARS if name.endswith(SIGNATURE) else MAX_FLIST_BYTES
        pieces = read_pieces(request, PIECE_BYTES, limit)
        path = publisher.flists / repo / name
        await save_stream(pieces, publisher.opener(repo, name, user), path, pool)
        return {"message": "stored"}

    @router.post(f"/{api.ROLLBACK}/{{repo}}/{{name}}")
    async def roll_back(request: Request, repo: str, name: str) -> dict[str, str]:
        """Publish an earlier version of a flist again."""
        user = access.demand_user(request)
        wanted = parse_model(await read_json(request, MAX_JSON_BYTES), Digest)
        await pool.run(publisher.prepare, repo, name, user)
        try:
            await pool.run(versions.restore, repo, name, wanted.digest)
        except FlistError as error:
            raise HTTPException(404, error.message) from error
        return {"message": "restored"}

    return router
