"""What the pages look up in the database: only what the viewer may know of."""

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, or_, select

from flist.hub.library.flists import FLIST, TAGLINK, make_entry, query
from flist.hub.library.readers import readable
from flist.hub.library.repositories import make_repository
from flist.hub.library.repositories import query as repository_query
from flist.hub.library.values import Entry, Repository
from flist.hub.state.tables import ACCOUNTS, ENTRIES, REPOSITORIES
from flist.hub.state.viewer import Viewer
from serving.database import Database

PAGE_ROWS = 100
NEWEST = 10


class Tag(NamedTuple):
    """A tag of a repository; one with a target, REPO/TAG, stands for that tag."""

    name: str
    target: str | None


def find_newest(database: Database, viewer: Viewer) -> Sequence[Entry]:
    """Return the flists that were changed last."""
    wanted = query().where(readable(viewer), ENTRIES.c.tag == "", ENTRIES.c.kind == FLIST)
    order = wanted.order_by(ENTRIES.c.changed_s.desc(), ENTRIES.c.id.desc()).limit(NEWEST)
    with database.reading() as connection:
        return [make_entry(row) for row in connection.execute(order)]


def search_flists(database: Database, viewer: Viewer, text: str) -> Sequence[Entry]:
    """Return flists and links whose repository and name have all words of `text` in them; one
    more than a page has if there are more."""
    place = REPOSITORIES.c.name + "/" + ENTRIES.c.name
    named = (ENTRIES.c.tag == "", ENTRIES.c.name != "")
    wanted = query().where(readable(viewer), *named, *has_words(place, text))
    order = wanted.order_by(REPOSITORIES.c.name, ENTRIES.c.name).limit(PAGE_ROWS + 1)
    with database.reading() as connection:
        return [make_entry(row) for row in connection.execute(order)]


def list_repositories(
    database: Database, viewer: Viewer, text: str = "", after: str = ""
) -> Sequence[Repository]:
    """Return repositories with all words of `text` in their name, behind the name `after`; one
    more than a page has if there are more."""
    wanted = repository_query().where(readable(viewer), REPOSITORIES.c.name > after)
    wanted = wanted.where(*has_words(REPOSITORIES.c.name, text))
    order = wanted.order_by(REPOSITORIES.c.name).limit(PAGE_ROWS + 1)
    with database.reading() as connection:
        return [make_repository(row) for row in connection.execute(order)]


def list_own(database: Database, viewer: Viewer) -> Sequence[str]:
    """Return the names of the repositories that the viewer may publish in, its own first."""
    owners = [viewer.account_id, *viewer.group_ids]
    mine = or_(*(REPOSITORIES.c.owner_id == owner for owner in owners))
    wanted = select(REPOSITORIES.c.name).where(mine).order_by(REPOSITORIES.c.name)
    with database.reading() as connection:
        names = [row.name for row in connection.execute(wanted.limit(PAGE_ROWS))]
    return [viewer.name, *(name for name in names if name != viewer.name)]


def list_tags(database: Database, repository: Repository) -> Sequence[Tag]:
    """Return the tags of a repository, by name."""
    mine = (ENTRIES.c.repository_id == repository.id, ENTRIES.c.tag != "")
    target = func.max(ENTRIES.c.target).filter(ENTRIES.c.kind == TAGLINK)
    wanted = select(ENTRIES.c.tag, target.label("target")).where(*mine).group_by(ENTRIES.c.tag)
    with database.reading() as connection:
        return [Tag(row.tag, row.target) for row in connection.execute(wanted.order_by("tag"))]


def find_keys(database: Database, names: Set[str]) -> Mapping[str, str]:
    """Return whose the public keys of accounts are, by key in hex."""
    mine = ACCOUNTS.c.name.in_(names), ACCOUNTS.c.public_key.is_not(None)
    wanted = select(ACCOUNTS.c.public_key, ACCOUNTS.c.name).where(*mine)
    with database.reading() as connection:
        return {row.public_key: row.name for row in connection.execute(wanted)}


def has_words(column: ColumnElement[str], text: str) -> Sequence[ColumnElement[bool]]:
    """Return the condition that all words are in a column; small and capital letters are alike."""
    lower = func.lower(column)
    return [lower.contains(word, autoescape=True) for word in text.lower().split()]
