"""The flists of the repositories: what is published, and every version of it."""

import time
from collections.abc import Set as AbstractSet
from typing import Any

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from flist.errors import SignatureError
from flist.format.opening import AnyFlist, open_unchanging
from flist.format.signing.signature import parse_signature
from flist.hub.contents.contents import Contents, Draft
from flist.hub.errors import AbsentError, BlocksMissingError, InvalidError
from flist.hub.library.accepting import Parsed, check_signature, check_signers, parse_flist
from flist.hub.library.readers import Readers, is_closable, readable
from flist.hub.library.repositories import Repositories
from flist.hub.library.values import Entry, Repository, Version
from flist.hub.names import is_flist
from flist.hub.state import epoch
from flist.hub.state.audit import Audit
from flist.hub.state.batches import batches
from flist.hub.state.blocks import note_upload
from flist.hub.state.tables import (
    BLOCKS,
    ENTRIES,
    OBJECTS,
    REPOSITORIES,
    SIGNATURES,
    UPLOADS,
    VERSIONS,
)
from flist.hub.state.viewer import Viewer
from serving.database import Database, insert_new

MAX_LINKS = 8
FLIST, LINK, TAGLINK = "flist", "link", "taglink"


class Flists:
    """The flists of a hub, as far as a viewer may know of them."""

    def __init__(
        self,
        database: Database,
        contents: Contents,
        repositories: Repositories,
        readers: Readers,
        audit: Audit,
        keep_versions: int,
    ) -> None:
        self.database = database
        self.contents = contents
        self.repositories = repositories
        self.readers = readers
        self.audit = audit
        self.keep_versions = keep_versions
        self.quotas = contents.blocks.quotas

    # -- reading ---------------------------------------------------------------------------------

    def find(self, viewer: Viewer, repo: str, name: str, tag: str = "") -> Entry:
        """Return the flist of a name; links are followed. Raises `AbsentError`."""
        with self.database.reading() as connection:
            for _ in range(MAX_LINKS):
                entry = find_entry(connection, viewer, repo, tag, name)
                if entry is None and tag:
                    link = find_entry(connection, viewer, repo, tag, "")
                    if link is not None and link.target:
                        repo, _, tag = link.target.partition("/")
                        continue
                if entry is None:
                    raise AbsentError(f"there is no flist {repo[:100]}/{name[:200]}")
                if entry.kind != LINK or not entry.target:
                    return entry
                repo, _, name = entry.target.partition("/")
                tag = ""
        raise AbsentError("too many links follow one another")

    def entries(self, viewer: Viewer, repo: str, tag: str = "") -> list[Entry]:
        """Return the flists and links of a repository, or of one of its tags, by name."""
        with self.database.reading() as connection:
            repository = self.repositories.find_in(connection, viewer, repo)
            mine = (ENTRIES.c.repository_id == repository.id) & (ENTRIES.c.tag == tag)
            rows = connection.execute(query().where(mine).order_by(ENTRIES.c.name)).all()
        return [make_entry(row) for row in rows]

    def names(self, viewer: Viewer) -> list[str]:
        """Return `repo/name` of every flist and link that the viewer may read."""
        wanted = query().where(readable(viewer), ENTRIES.c.tag == "", ENTRIES.c.name != "")
        with self.database.reading() as connection:
            rows = connection.execute(wanted).all()
        return sorted(f"{row.repository}/{row.name}" for row in rows)

    def history(self, viewer: Viewer, repo: str, name: str) -> list[Version]:
        """Return all versions of a flist, the one that is published first, then the newest."""
        entry = self.find(viewer, repo, name)
        with self.database.reading() as connection:
            repository = self.repositories.find_in(connection, viewer, entry.repository)
            rows = connection.execute(versions_of(repository.id, entry.name)).all()
        found = [make_version(row, entry.digest) for row in rows]
        return sorted(found, key=lambda version: not version.is_current)

    def find_version(self, viewer: Viewer, repo: str, name: str, digest: str = "") -> Version:
        """Return one version of a flist, without a digest the one that is published."""
        for version in self.history(viewer, repo, name):
            if version.digest == digest or (not digest and version.is_current):
                return version
        raise AbsentError(f"there is no such version of {repo}/{name}")

    def demand_object(self, viewer: Viewer, digest: str) -> None:
        """Raise `AbsentError` unless a version of a repository that may be read is this object."""
        wanted = (
            select(VERSIONS.c.id)
            .join(REPOSITORIES, REPOSITORIES.c.id == VERSIONS.c.repository_id)
            .where(VERSIONS.c.object == digest, readable(viewer))
        )
        with self.database.reading() as connection:
            if connection.execute(wanted.limit(1)).first() is None:
                raise AbsentError("there is no such file")

    def is_version(self, digest: str) -> bool:
        """Return whether an object is a version of some flist."""
        wanted = select(VERSIONS.c.id).where(VERSIONS.c.object == digest).limit(1)
        with self.database.reading() as connection:
            return connection.execute(wanted).first() is not None

    def open_version(self, viewer: Viewer, digest: str) -> AnyFlist:
        """Return a version, open for reading; the caller closes it."""
        self.demand_object(viewer, digest)
        return open_unchanging(self.contents.path(digest))

    # -- writing ---------------------------------------------------------------------------------

    def publish(
        self,
        viewer: Viewer,
        repo: str,
        name: str,
        draft: Draft,
        signature: str | None = None,
        *,
        shown: AbstractSet[bytes] = frozenset(),
    ) -> Version:
        """Publish a draft under a name, whole or not at all.

        The flist may name what the viewer can claim, and the blocks `shown`: it has sent what is in
        them for this flist.

        Raises `InvalidError` for what is no flist, names blocks that are not there, or is not
        signed as the repository demands.
        """
        if not is_flist(name):
            raise InvalidError("not the name of a flist", hint="NAME.fl, of letters, digits, ._+-")
        owned = self.repositories.demand_write(viewer, repo)
        parsed = parse_flist(draft.path)
        self.contents.blocks.adopt(parsed.blocks)
        foreign = parsed.blocks - shown
        check_blocks(parsed, foreign - self.readers.claimable(viewer, foreign))
        self.quotas.demand_version(owned.owner_id, owned.owner, parsed.blocks)
        self.contents.send(viewer, draft)
        with self.database.writing() as connection:
            repository = self.repositories.find_in(connection, viewer, repo, is_locked=True)
            self.repositories.check_write(viewer, repository)
            text = take_signature(connection, repository, name, draft.digest, signature)
            check_signers(repository, name, draft.path, draft.digest, [text] if text else [])
            check_blocks(parsed, self.contents.blocks.rely_on(connection, parsed.blocks))
            self.contents.keep(viewer, connection, draft, parsed.format, parsed.blocks)
            self.put_version(connection, viewer, repository, name, draft.digest, text)
            claim_blocks(connection, viewer, parsed)
            if repository.is_private:
                close_uploads(connection, viewer, parsed)
            self.audit.note(viewer, "flist.publish", f"{repo}/{name}", draft.digest, connection)
        self.contents.cache_draft(draft)
        self.readers.refresh()
        return self.find_version(viewer, repo, name)

    def put_version(
        self,
        connection: Connection,
        viewer: Viewer,
        repository: Repository,
        name: str,
        digest: str,
        signature: str | None = None,
    ) -> None:
        """Make an object the published version of a name, and remove what is kept too long."""
        now_s = time.time()
        mine = {"repository_id": repository.id, "name": name, "object": digest}
        row = {"published_s": now_s, "published_by": viewer.name, "signature": signature}
        if not insert_new(connection, VERSIONS, {**mine, **row}):
            if signature is None:
                del row["signature"]
            connection.execute(update(VERSIONS).filter_by(**mine).values(**row))
        put_entry(connection, repository.id, name, FLIST, digest=digest)
        limit = repository.keep_versions
        if prune(connection, repository.id, name, self.keep_versions if limit is None else limit):
            epoch.bump(connection)

    def sign(self, viewer: Viewer, repo: str, name: str, text: str) -> None:
        """Keep a signature with the version that it is of, or until that is published."""
        if not is_flist(name):
            raise InvalidError("not the name of a flist")
        try:
            digest = parse_signature(text).sha256
        except SignatureError as error:
            raise InvalidError("this is not a signature") from error
        repository = self.repositories.demand_write(viewer, repo)
        check_signature(repository, name, text)
        mine = {"repository_id": repository.id, "name": name}
        with self.database.writing() as connection:
            change = update(VERSIONS).filter_by(**mine, object=digest).values(signature=text)
            if not connection.execute(change).rowcount:
                key = {**mine, "digest": digest[:64]}
                connection.execute(delete(SIGNATURES).filter_by(**key))
                connection.execute(insert(SIGNATURES).values(**key, text=text, at_s=time.time()))
            self.audit.note(viewer, "flist.sign", f"{repo}/{name}", digest[:64], connection)

    def roll_back(self, viewer: Viewer, repo: str, name: str, digest: str) -> Version:
        """Publish a version again, with its signature. Raises `AbsentError` if it is not kept, and
        `InvalidError` if the repository's signers have not signed it."""
        owned = self.repositories.demand_write(viewer, repo)
        if owned.threshold:
            old = self.find_version(viewer, repo, name, digest)
            beside = [old.signature] if old.signature else []
            check_signers(owned, name, self.contents.path(digest), digest, beside)
        with self.database.writing() as connection:
            repository = self.repositories.find_in(connection, viewer, repo, is_locked=True)
            self.repositories.check_write(viewer, repository)
            kept = versions_of(repository.id, name).where(VERSIONS.c.object == digest)
            if connection.execute(kept).first() is None:
                raise AbsentError(f"there is no version {digest[:64]} of {repo}/{name}")
            self.put_version(connection, viewer, repository, name, digest)
            self.audit.note(viewer, "flist.rollback", f"{repo}/{name}", digest, connection)
        self.readers.refresh()
        return self.find_version(viewer, repo, name)

    def delete(self, viewer: Viewer, repo: str, name: str) -> None:
        """Remove a name with all its versions, or a link."""
        self.repositories.demand_write(viewer, repo)
        with self.database.writing() as connection:
            repository = self.repositories.find_in(connection, viewer, repo, is_locked=True)
            self.repositories.check_write(viewer, repository)
            mine = {"repository_id": repository.id, "name": name}
            if not connection.execute(delete(ENTRIES).filter_by(**mine, tag="")).rowcount:
                raise AbsentError(f"there is no flist {repo}/{name}")
            connection.execute(delete(SIGNATURES).filter_by(**mine))
            prune(connection, repository.id, name, 0)
            note_change(connection, repository.id)
            epoch.bump(connection)
            self.audit.note(viewer, "flist.delete", f"{repo}/{name}", "", connection)
        self.quotas.forget()
        self.readers.refresh()


def check_blocks(parsed: Parsed, missing: AbstractSet[bytes]) -> None:
    """Raise `BlocksMissingError` if blocks are missing, or are others' private ones."""
    if missing:
        raise BlocksMissingError(
            f"{len(missing)} of its {len(parsed.blocks)} blocks are not on this hub, "
            f"for example {min(missing).hex()}",
            hint="upload the blocks first",
        )


def query() -> Any:
    """Return the query of entries with their repositories' names and their objects."""
    return (
        select(
            *(column for column in ENTRIES.c if column.name != "id"),
            REPOSITORIES.c.name.label("repository"),
            func.coalesce(OBJECTS.c.size, 0).label("size"),
            func.coalesce(OBJECTS.c.format, "").label("format"),
        )
        .join(REPOSITORIES, REPOSITORIES.c.id == ENTRIES.c.repository_id)
        .outerjoin(OBJECTS, OBJECTS.c.digest == ENTRIES.c.object)
    )


def find_entry(
    connection: Connection, viewer: Viewer, repo: str, tag: str, name: str
) -> Entry | None:
    """Return an entry of a repository that the viewer may read, or None."""
    wanted = query().where(
        REPOSITORIES.c.name == repo, readable(viewer), ENTRIES.c.tag == tag, ENTRIES.c.name == name
    )
    row = connection.execute(wanted).first()
    return None if row is None else make_entry(row)


def make_entry(row: Any) -> Entry:
    """Return what a row says."""
    return Entry(row.repository, row.tag, row.name, row.kind, row.target, row.object or "",
                 row.size, row.format, row.changed_s)  # fmt: skip


def versions_of(repository_id: int, name: str) -> Any:
    """Return the query of the versions of a name, the newest first."""
    return (
        select(*VERSIONS.c, OBJECTS.c.size, OBJECTS.c.format)
        .join(OBJECTS, OBJECTS.c.digest == VERSIONS.c.object)
        .where(VERSIONS.c.repository_id == repository_id, VERSIONS.c.name == name)
        .order_by(VERSIONS.c.published_s.desc(), VERSIONS.c.id.desc())
    )


def make_version(row: Any, current: str) -> Version:
    """Return what a row says."""
    return Version(row.object, row.size, row.format, row.published_s, row.published_by,
                   row.object == current, row.signature is not None, row.signature)  # fmt: skip


def put_entry(
    connection: Connection,
    repository_id: int,
    name: str,
    kind: str,
    *,
    tag: str = "",
    target: str | None = None,
    digest: str | None = None,
) -> None:
    """Insert or replace an entry."""
    mine = {"repository_id": repository_id, "tag": tag, "name": name}
    row = {"kind": kind, "target": target, "object": digest, "changed_s": time.time()}
    if not insert_new(connection, ENTRIES, {**mine, **row}):
        connection.execute(update(ENTRIES).filter_by(**mine).values(**row))
    note_change(connection, repository_id)


def note_change(connection: Connection, repository_id: int) -> None:
    """Note when a repository was changed."""
    mine = REPOSITORIES.c.id == repository_id
    connection.execute(update(REPOSITORIES).where(mine).values(updated_s=time.time()))


def prune(connection: Connection, repository_id: int, name: str, limit: int) -> int:
    """Remove the oldest versions of a name beyond `limit`, but not the one that is published."""
    own = {"repository_id": repository_id, "name": name, "tag": ""}
    published = select(ENTRIES.c.object).filter_by(**own).where(ENTRIES.c.object.is_not(None))
    old = versions_of(repository_id, name).where(VERSIONS.c.object.not_in(published))
    ids = [row.id for row in connection.execute(old)][limit:]
    for batch in batches(ids):
        connection.execute(delete(VERSIONS).where(VERSIONS.c.id.in_(batch)))
    return len(ids)


def take_signature(
    connection: Connection,
    repository: Repository,
    name: str,
    digest: str,
    text: str | None,
) -> str | None:
    """Return the signature of a flist: the one given, else one that came before it."""
    mine = {"repository_id": repository.id, "name": name, "digest": digest}
    if text is None:
        text = connection.execute(select(SIGNATURES.c.text).filter_by(**mine)).scalar()
    connection.execute(delete(SIGNATURES).filter_by(**mine))
    return text


def claim_blocks(connection: Connection, viewer: Viewer, parsed: Parsed) -> None:
    """Note the blocks that were packed into the store itself as the publisher's: they are, also
    when the flist has been removed."""
    is_claimed = exists().where(UPLOADS.c.block == BLOCKS.c.id)
    for ids in batches(sorted(parsed.blocks)):
        wanted = select(BLOCKS.c.id).where(BLOCKS.c.id.in_(ids), ~is_claimed)
        for row in connection.execute(wanted).all():
            note_upload(connection, viewer, bytes(row.id), is_open=False)


def close_uploads(connection: Connection, viewer: Viewer, parsed: Parsed) -> None:
    """Close the viewer's open uploads that a private flist names and nothing public needs."""
    closed = 0
    for ids in batches(sorted(parsed.blocks)):
        mine = (UPLOADS.c.account_id == viewer.account_id) & UPLOADS.c.block.in_(ids)
        change = update(UPLOADS).where(mine, is_closable()).values(is_open=False)
        closed += connection.execute(change).rowcount
    if closed:
        epoch.bump(connection)
