"""Links between flists, and the tags that group them.

A link is an entry that names another, in any repository; it may point to a link. A tag is a group
of links, which exists as long as there is one in it. A tag link names another repository's tag. A
link never gives more rights: its target is found only by who may read the target's repository.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator

from sqlalchemy import Connection, delete, func, select, tuple_, update

from flist.hub.contents.contents import Draft
from flist.hub.errors import AbsentError, ConflictError, InvalidError
from flist.hub.library.accepting import check_signers
from flist.hub.library.flists import (
    FLIST,
    LINK,
    MAX_LINKS,
    TAGLINK,
    Flists,
    find_entry,
    make_entry,
    note_change,
    put_entry,
    query,
)
from flist.hub.library.readers import readable
from flist.hub.library.values import Entry, Repository, Version
from flist.hub.names import NEW_SUFFIX, SUFFIX, is_flist, is_repo
from flist.hub.state.batches import batches
from flist.hub.state.tables import ENTRIES, REPOSITORIES, SIGNATURES, VERSIONS
from flist.hub.state.viewer import Viewer

SUFFIXES = (SUFFIX, NEW_SUFFIX)
Place = tuple[str, str]
"""Repository and name."""
Fetch = Callable[[Collection[Place]], dict[Place, Entry]]


def place_of(target: str) -> Place:
    """Return the place that a link's target names."""
    repo, _, name = target.partition("/")
    return repo, name


def follow(entries: Iterable[Entry], fetch: Fetch) -> dict[Entry, Entry]:
    """Return the flist at the end of each entry's links; those without one are left out.

    `fetch` returns the entries at places, as far as there are any.
    """
    ends = {entry: entry for entry in entries}
    known: dict[Place, Entry] = {}
    for _ in range(1, MAX_LINKS):  # the first entry of each chain is there already
        pending = {place_of(end.target or "") for end in ends.values() if end.kind == LINK}
        if not pending:
            break
        known |= fetch(pending - known.keys())
        ends = {
            entry: known[place_of(end.target or "")] if end.kind == LINK else end
            for entry, end in ends.items()
            if end.kind != LINK or place_of(end.target or "") in known
        }
    return {entry: end for entry, end in ends.items() if end.kind == FLIST}


class Links:
    """The links and tags of a hub; `flists` are its flists."""

    def __init__(self, flists: Flists) -> None:
        self.flists = flists
        self.database = flists.database
        self.repositories = flists.repositories
        self.audit = flists.audit

    # -- reading ---------------------------------------------------------------------------------

    def look(self, viewer: Viewer, repo: str, name: str, tag: str = "") -> Entry | None:
        """Return the entry of that name itself, or None; links are not followed."""
        with self.database.reading() as connection:
            return find_entry(connection, viewer, repo, tag, name)

    def tags(self, viewer: Viewer, repo: str) -> dict[str, float]:
        """Return when each tag of a repository was changed, by the tags' names."""
        changed = func.max(ENTRIES.c.changed_s)
        with self.database.reading() as connection:
            repository = self.repositories.find_in(connection, viewer, repo)
            wanted = select(ENTRIES.c.tag, changed).group_by(ENTRIES.c.tag)
            mine = wanted.where(ENTRIES.c.repository_id == repository.id, ENTRIES.c.tag != "")
            return {row[0]: row[1] for row in connection.execute(mine.order_by(ENTRIES.c.tag))}

    def ends(self, viewer: Viewer, entries: Iterable[Entry]) -> dict[Entry, Entry]:
        """Return the flist that each entry leads to, if the viewer may read it."""
        with self.database.reading() as connection:
            return follow(entries, lambda places: fetch_entries(connection, viewer, places))

    # -- writing ---------------------------------------------------------------------------------

    def link(self, viewer: Viewer, repo: str, name: str, target: Place, tag: str = "") -> None:
        """Make `name`, in a tag or in none, a link to `target`; another link is replaced.

        Raises `AbsentError` for a target that is not there, `ConflictError` for a name that is a
        flist's, and for a link that would lead to itself.
        """
        check_names(name, tag)
        self.flists.find(viewer, *target)
        with self.changing(viewer, repo) as (connection, repository):
            there = find_entry(connection, viewer, repo, tag, name)
            if there is not None and there.kind == FLIST:
                raise ConflictError("link destination is already a file")
            text = "/".join(target)
            put_entry(connection, repository.id, name, LINK, tag=tag, target=text)
            if not tag:
                demand_end(connection, viewer, repo, name)
            where = f"{repo}/tags/{tag}/{name}" if tag else f"{repo}/{name}"
            self.audit.note(viewer, "flist.link", where, text, connection)

    def link_tag(self, viewer: Viewer, repo: str, name: str, target: Place) -> None:
        """Make `name` stand for the tag `target`, a repository and a tag of it."""
        if not is_repo(name) or is_flist(name):
            raise InvalidError("tag symlink cannot ends with .flist")
        if target[1] not in self.tags(viewer, target[0]):
            raise AbsentError("source tag not found")
        with self.changing(viewer, repo) as (connection, repository):
            if any(find_entry(connection, viewer, repo, "", name + end) for end in SUFFIXES):
                raise ConflictError("there is a .flist file with the same name existing already")
            text = "/".join(target)
            put_entry(connection, repository.id, name, TAGLINK, target=text)
            self.audit.note(viewer, "flist.link", f"{repo}/{name}", f"tag {text}", connection)

    def untag(self, viewer: Viewer, repo: str, tag: str, name: str) -> None:
        """Remove a link from a tag, and the tag with its last one."""
        with self.changing(viewer, repo) as (connection, repository):
            mine = {"repository_id": repository.id, "tag": tag, "name": name}
            if not tag or not connection.execute(delete(ENTRIES).filter_by(**mine)).rowcount:
                raise AbsentError("target not found on this tag")
            note_change(connection, repository.id)
            self.audit.note(viewer, "flist.untag", f"{repo}/tags/{tag}/{name}", "", connection)

    def rename(self, viewer: Viewer, repo: str, name: str, wanted: str) -> None:
        """Give a flist, with its versions, or a link another name in its repository.

        Links to the old name lead nowhere afterwards. Raises `ConflictError` if the name is taken.
        """
        check_names(wanted)
        with self.changing(viewer, repo) as (connection, repository):
            entry = find_entry(connection, viewer, repo, "", name)
            if entry is None:
                raise AbsentError("source not found")
            if name == wanted:
                return
            if find_entry(connection, viewer, repo, "", wanted) is not None:
                raise ConflictError("there is a flist with the new name already")
            self.check_signature(connection, repository, entry, wanted)
            mine = {"repository_id": repository.id, "tag": "", "name": name}
            connection.execute(update(ENTRIES).filter_by(**mine).values(name=wanted))
            rename_versions(connection, repository.id, name, wanted)
            note_change(connection, repository.id)
            self.audit.note(viewer, "flist.rename", f"{repo}/{name}", wanted, connection)

    def check_signature(
        self, connection: Connection, repository: Repository, entry: Entry, name: str
    ) -> None:
        """Raise `InvalidError` if the repository demands a signature, which is of another name."""
        if not repository.threshold or entry.kind != FLIST:
            return
        mine = {"repository_id": repository.id, "name": entry.name, "object": entry.digest}
        text = connection.execute(select(VERSIONS.c.signature).filter_by(**mine)).scalar()
        path = self.flists.contents.path(entry.digest)
        check_signers(repository, name, path, entry.digest, [text] if text else [])

    def promote(self, viewer: Viewer, source: Place, repo: str, name: str) -> Version:
        """Publish the flist at `source` in another repository, too; a link there is replaced."""
        found = self.flists.find(viewer, *source)
        if found.kind != FLIST:
            raise AbsentError("source not found")
        copy = Draft(self.flists.contents.path(found.digest), found.digest, found.size)
        return self.flists.publish(viewer, repo, name, copy)

    @contextlib.contextmanager
    def changing(self, viewer: Viewer, repo: str) -> Iterator[tuple[Connection, Repository]]:
        """Give a transaction in which nobody else changes a repository of the viewer's."""
        self.repositories.demand_write(viewer, repo)
        with self.database.writing() as connection:
            repository = self.repositories.find_in(connection, viewer, repo, is_locked=True)
            self.repositories.check_write(viewer, repository)
            yield connection, repository


def check_names(name: str, tag: str = "") -> None:
    """Raise `InvalidError` for a name that no flist may have, or no tag."""
    if not is_flist(name) or (tag and not is_repo(tag)):
        raise InvalidError("not a possible name", hint="letters, digits and ._+-")


def demand_end(connection: Connection, viewer: Viewer, repo: str, name: str) -> None:
    """Raise `ConflictError` if a new link leads to itself."""
    entry = find_entry(connection, viewer, repo, "", name)
    if entry and not follow([entry], lambda places: fetch_entries(connection, viewer, places)):
        raise ConflictError("the link would lead to itself, or over too many others")


def fetch_entries(
    connection: Connection, viewer: Viewer, places: Collection[Place]
) -> dict[Place, Entry]:
    """Return those entries at places, in no tag, that the viewer may read."""
    place = tuple_(REPOSITORIES.c.name, ENTRIES.c.name)
    found: dict[Place, Entry] = {}
    for some in batches(sorted(places)):
        wanted = query().where(readable(viewer), ENTRIES.c.tag == "", place.in_(some))
        entries = map(make_entry, connection.execute(wanted))
        found |= {(entry.repository, entry.name): entry for entry in entries}
    return found


def rename_versions(connection: Connection, repository_id: int, name: str, wanted: str) -> None:
    """Move the versions and signatures of a name to another, which no entry has."""
    for table, column in ((VERSIONS, VERSIONS.c.object), (SIGNATURES, SIGNATURES.c.digest)):
        of = {"repository_id": repository_id}
        moving = select(column).filter_by(**of, name=name)
        twins = delete(table).filter_by(**of, name=wanted).where(column.in_(moving))
        connection.execute(twins)
        connection.execute(update(table).filter_by(**of, name=name).values(name=wanted))
