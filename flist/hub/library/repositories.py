"""The repositories: whose they are, who may read them, whose signatures their flists need."""

import time
from typing import Any

from sqlalchemy import Connection, Select, select, update

from flist.hub.errors import AbsentError, ConflictError, ForbiddenError, InvalidError
from flist.hub.library.readers import Readers, is_closable, readable
from flist.hub.library.values import Repository
from flist.hub.names import is_repo
from flist.hub.state import epoch
from flist.hub.state.audit import Audit
from flist.hub.state.tables import ACCOUNTS, REPOSITORIES, UPLOADS, USES, VERSIONS
from flist.hub.state.viewer import ADMIN, PUBLISH, Viewer
from serving.database import Database, insert_new


class Repositories:
    """The repositories of a hub, as far as a viewer may know of them."""

    def __init__(self, database: Database, readers: Readers, audit: Audit) -> None:
        self.database = database
        self.readers = readers
        self.audit = audit

    def find(self, viewer: Viewer, name: str) -> Repository:
        """Return a repository. Raises `AbsentError` also for one that the viewer may not know."""
        with self.database.reading() as connection:
            return self.find_in(connection, viewer, name)

    def find_in(
        self, connection: Connection, viewer: Viewer, name: str, *, is_locked: bool = False
    ) -> Repository:
        """Do what `find` does in a transaction; with `is_locked`, nobody else publishes there."""
        wanted = query().where(REPOSITORIES.c.name == name).where(readable(viewer))
        if is_locked:
            wanted = wanted.with_for_update(of=REPOSITORIES)
        row = connection.execute(wanted).first()
        if row is None:
            raise AbsentError(f"there is no repository {name[:100]}")
        return make_repository(row)

    def list(self, viewer: Viewer) -> list[Repository]:
        """Return the repositories that the viewer may read, by name."""
        wanted = query().where(readable(viewer)).order_by(REPOSITORIES.c.name)
        with self.database.reading() as connection:
            return [make_repository(row) for row in connection.execute(wanted)]

    def create(
        self, viewer: Viewer, name: str, *, owner: str = "", is_private: bool = False
    ) -> Repository:
        """Make a repository of the viewer's, or of another owner: a group of the viewer's, or for
        an administrator any account."""
        self.demand_scope(viewer, name)
        if not is_repo(name):
            raise InvalidError(f"cannot use {name[:100]!r} as a repository's name")
        owner = owner or viewer.name
        with self.database.writing() as connection:
            owner_id = find_account(connection, owner)
            if not owns(viewer, owner_id) and not is_admin(viewer):
                raise ForbiddenError(f"you may not make a repository for {owner}")
            taken = select(ACCOUNTS.c.id).where(ACCOUNTS.c.name == name)
            namesake = connection.execute(taken).scalar()
            if namesake is not None and namesake != owner_id and not is_admin(viewer):
                raise ForbiddenError(f"the name {name} is the account's of that name")
            insert_repository(connection, name, owner_id, is_private=is_private)
            self.audit.note(viewer, "repository.create", name, owner, connection)
        return self.find(viewer, name)

    def change(self, viewer: Viewer, name: str, **what: Any) -> Repository:
        """Change `is_private`, `is_official`, `signers`, `threshold`, `keep_versions`, `owner`."""
        with self.database.writing() as connection:
            repository = self.find_in(connection, viewer, name, is_locked=True)
            self.check_write(viewer, repository)
            if "owner" in what:
                what["owner_id"] = find_account(connection, what.pop("owner"))
            if "is_official" in what and not is_admin(viewer):
                raise ForbiddenError("only an administrator says what is official")
            if "signers" in what:
                what["signers"] = "\n".join(what["signers"])
            mine = REPOSITORIES.c.id == repository.id
            connection.execute(
                update(REPOSITORIES).where(mine).values(**what, updated_s=time.time())
            )
            if what.get("is_private"):
                close_uploads(connection, repository.id)
            epoch.bump(connection)
            detail = ", ".join(f"{key}={value}" for key, value in what.items())
            self.audit.note(viewer, "repository.change", name, detail, connection)
        self.readers.refresh()
        return self.find(viewer, name)

    def demand_write(self, viewer: Viewer, name: str) -> Repository:
        """Return a repository that the viewer may publish in.

        A user's first publication in the repository of its own name makes it, or a member's in
        that of a group's name.
        """
        self.demand_scope(viewer, name)
        with self.database.reading() as connection:
            found = connection.execute(query().where(REPOSITORIES.c.name == name)).first()
        if found is None:
            return self.make_own(viewer, name)
        repository = make_repository(found)
        if repository.is_private and not self.readers.may_read(viewer, repository):
            raise AbsentError(f"there is no repository {name[:100]}")
        self.check_write(viewer, repository)
        return repository

    def demand_scope(self, viewer: Viewer, name: str) -> None:
        """Raise `ForbiddenError` unless the viewer's token is for publishing in `name`."""
        if PUBLISH not in viewer.scopes:
            raise ForbiddenError("the token lacks the scope publish")
        if viewer.repository is not None and viewer.repository != name:
            raise ForbiddenError(f"the token is for the repository {viewer.repository} only")

    def check_write(self, viewer: Viewer, repository: Repository) -> None:
        """Raise `ForbiddenError` unless the viewer may publish in the repository."""
        self.demand_scope(viewer, repository.name)
        if not owns(viewer, repository.owner_id) and not is_admin(viewer):
            raise ForbiddenError(f"the repository {repository.name} belongs to somebody else")

    def make_own(self, viewer: Viewer, name: str) -> Repository:
        """Make the repository of the viewer's own name, or of a group that it is a member of."""
        if name != viewer.name and name not in viewer.groups:
            raise AbsentError(
                f"there is no repository {name[:100]}", hint="an owner has to create it first"
            )
        try:
            return self.create(viewer, name, owner=name)
        except ConflictError:  # another request was faster
            return self.find(viewer, name)


def query() -> Select[Any]:
    """Return the query of all repositories with their owners' names."""
    columns = (*REPOSITORIES.c, ACCOUNTS.c.name.label("owner"))
    return select(*columns).join(ACCOUNTS, ACCOUNTS.c.id == REPOSITORIES.c.owner_id)


def make_repository(row: Any) -> Repository:
    """Return what a row says."""
    return Repository(
        row.id, row.name, row.owner, row.owner_id, row.is_private, row.is_official,
        tuple(row.signers.split()), row.threshold, row.keep_versions, row.updated_s,
    )  # fmt: skip


def insert_repository(
    connection: Connection, name: str, owner_id: int, *, is_private: bool = False
) -> None:
    """Insert a row. Raises `ConflictError` if the name is taken."""
    now_s = time.time()
    values = {"name": name, "owner_id": owner_id, "is_private": is_private, "is_official": False,
              "signers": "", "threshold": 0, "created_s": now_s, "updated_s": now_s}  # fmt: skip
    if not insert_new(connection, REPOSITORIES, values):
        raise ConflictError(f"the repository {name} is there already")


def close_uploads(connection: Connection, repository_id: int) -> None:
    """Close what the publishers of a repository, now private, had uploaded openly for it."""
    needed = (
        select(USES.c.block)
        .join(VERSIONS, VERSIONS.c.object == USES.c.object)
        .where(VERSIONS.c.repository_id == repository_id)
    )
    publishers = (
        select(ACCOUNTS.c.id)
        .join(VERSIONS, VERSIONS.c.published_by == ACCOUNTS.c.name)
        .where(VERSIONS.c.repository_id == repository_id)
    )
    mine = (UPLOADS.c.block.in_(needed), UPLOADS.c.account_id.in_(publishers))
    connection.execute(update(UPLOADS).where(*mine, is_closable()).values(is_open=False))


def find_account(connection: Connection, name: str) -> int:
    """Return the id of an account. Raises `InvalidError`."""
    found = connection.execute(select(ACCOUNTS.c.id).where(ACCOUNTS.c.name == name)).scalar()
    if found is None:
        raise InvalidError(f"there is no account {name[:100]}")
    return int(found)


def owns(viewer: Viewer, owner_id: int) -> bool:
    """Return whether the owner is the viewer, or a group of the viewer's."""
    return viewer.is_known and (owner_id == viewer.account_id or owner_id in viewer.group_ids)


def is_admin(viewer: Viewer) -> bool:
    """Return whether the viewer is an administrator, with a token for that."""
    return viewer.is_admin and ADMIN in viewer.scopes
