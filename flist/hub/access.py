"""Who may write to a hub, and who owns a repository.

    owners/<repo>     the users who may publish there, one per line

Every user may upload blocks and files: their names follow from their content. A user who publishes
in a repository that is not there yet becomes its owner; nobody else may then publish there, but
whoever holds one of the hub's own tokens. A repository that such a token began has no owner, until
somebody writes the file.
"""

import contextlib
import hmac
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fastapi import HTTPException, Request

from common.files import open_regular
from flist.hub.library import FILE
from flist.hub.users import Users

OPERATOR = ""
"""The "user" of a token that the hub was started with: may write everywhere."""


class Access:
    """Checks the tokens of requests and the owners in the hub folder `root`."""

    def __init__(self, root: Path, tokens: Sequence[str], users: Users) -> None:
        self.root = root
        self.tokens = [token.encode() for token in tokens]
        self.users = users

    def find_user(self, request: Request) -> str | None:
        """Return whose token the request carries, or None if it carries none that is valid."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        matches = [hmac.compare_digest(token.encode(), known) for known in self.tokens]
        return OPERATOR if any(matches) else self.users.user_of(token, time.time())

    def demand_user(self, request: Request) -> str:
        """Return whose token the request carries; answers 401."""
        user = self.find_user(request)
        if user is None:
            raise HTTPException(401, "a token is needed", {"WWW-Authenticate": "Bearer"})
        return user

    def check_owner(self, repo: str, user: str) -> None:
        """Answer 403 unless `user` may publish in `repo`."""
        owners = self.owners(repo)
        is_allowed = self.is_new(repo) if owners is None else user in owners
        if user != OPERATOR and not is_allowed:
            raise HTTPException(403, f"the repository {repo} belongs to somebody else")

    def claim(self, repo: str, user: str) -> None:
        """Make `user` the owner of `repo` if it is new; answers 403 if somebody else owns it."""
        if user != OPERATOR and self.owners(repo) is None and self.is_new(repo):
            self.write_owner(repo, user)
        self.check_owner(repo, user)

    def owners(self, repo: str) -> list[str] | None:
        """Return the users who own a repository; None: nobody does."""
        try:
            with open_regular(self.root / "owners" / repo) as stream:
                return stream.read().decode(errors="replace").split()
        except FileNotFoundError:
            return None

    def is_new(self, repo: str) -> bool:
        """Return whether nothing was published in `repo` yet."""
        folder = self.root / "flists" / repo
        return not any(FILE.fullmatch(path.name) for path in folder.glob("*"))

    def write_owner(self, repo: str, user: str) -> None:
        """Make `user` the owner, unless another request was faster."""
        folder = self.root / "owners"
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{repo[:64]}.", dir=folder)
        try:
            with os.fdopen(handle, "w") as stream:
                stream.write(f"{user}\n")
                stream.flush()
                os.fsync(handle)
            with contextlib.suppress(FileExistsError):
                os.link(name, folder / repo)
        finally:
            Path(name).unlink()
