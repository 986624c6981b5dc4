"""What 0-hub's clients read: lists of repositories and flists, and what is known of one flist."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from common.files import open_atomic, open_regular
from flist.errors import FormatError
from flist.format.contents import contents_json
from flist.hub.errors import AbsentError, InvalidError
from flist.hub.library.flists import FLIST, LINK, TAGLINK
from flist.hub.library.hub import Hub
from flist.hub.library.links import Links, place_of
from flist.hub.library.values import Entry
from flist.hub.names import candidates, is_repo
from flist.hub.state.batches import batches
from flist.hub.state.viewer import Viewer
from flist.hub.web.zerohub import texts
from flist.hub.web.zerohub.describe import read_metadata
from serving.content import OpenFile

PIECE_BYTES = 1 << 20
KEPT_SUMS = 10_000
TAG_LINK_BYTES = 4096
TYPES = {FLIST: "regular", LINK: "symlink", TAGLINK: "taglink"}
Row = dict[str, object]


class Sums:
    """The MD5 of objects by their digests, of those that were asked for last."""

    def __init__(self) -> None:
        self.values: OrderedDict[str, str] = OrderedDict()
        self.lock = Lock()

    def get(self, digest: str, make: Callable[[], str]) -> str:
        """Return the MD5 of an object; `make` makes it if it is not known."""
        with self.lock:
            if digest in self.values:
                self.values.move_to_end(digest)
                return self.values[digest]
        value = make()
        with self.lock:
            self.values[digest] = value
            if len(self.values) > KEPT_SUMS:
                self.values.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True)
class Found:
    """A name's own entry, and the flist at the end of its links, if there is one."""

    entry: Entry
    flist: Entry | None

    def demand_flist(self) -> Entry:
        """Return the flist. Raises `AbsentError` for a link that leads nowhere."""
        if self.flist is None:
            raise AbsentError("the target of this link is not there")
        return self.flist


class Catalog:
    """Answers for the viewers of a hub."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.links = Links(hub.flists)
        self.sums = Sums()

    # -- lists -----------------------------------------------------------------------------------

    def repositories(self, viewer: Viewer) -> list[Row]:
        """Return the repositories with something in them."""
        used = {name.partition("/")[0] for name in self.hub.flists.names(viewer)}
        return [
            {"name": one.name, "official": one.is_official, "updated": int(one.updated_s)}
            for one in self.hub.repositories.list(viewer)
            if one.name in used
        ]

    def names(self, viewer: Viewer) -> list[str]:
        """Return REPO/FILE of all flists and links; neither tags nor links to them."""
        return [name for name in self.hub.flists.names(viewer) if name.endswith((".flist", ".fl"))]

    def all_rows(self, viewer: Viewer) -> dict[str, list[Row]]:
        """Return the rows of every repository with something in it."""
        return {str(one["name"]): self.rows(viewer, str(one["name"]))
                for one in self.repositories(viewer)}  # fmt: skip

    def rows(self, viewer: Viewer, repo: str) -> list[Row]:
        """Return what is in a repository: its tags, then flists and links. Raises `AbsentError`."""
        tags = [
            {"name": tag, "size": "0 KB", "updated": int(changed_s), "type": "tag"}
            for tag, changed_s in self.links.tags(viewer, repo).items()
        ]
        return [*tags, *self.describe(viewer, self.hub.flists.entries(viewer, repo))]

    def tag_rows(self, viewer: Viewer, repo: str, tag: str) -> list[Row]:
        """Return the links in a tag. Raises `AbsentError` if there is no such tag."""
        entries = self.hub.flists.entries(viewer, repo, tag)
        if not tag or not entries:
            raise AbsentError("tag not found")
        return self.describe(viewer, entries)

    def describe(self, viewer: Viewer, entries: Sequence[Entry]) -> list[Row]:
        """Return the row of each entry; a link into a repository that the viewer may not know of
        has none."""
        ends = self.links.ends(viewer, entries)
        known: set[str] = {entry.repository for entry in entries}
        if len(ends) < len(entries):
            known |= {one.name for one in self.hub.repositories.list(viewer)}
        return [
            make_row(entry, ends.get(entry))
            for entry in entries
            if entry in ends or place_of(entry.target or "")[0] in known
        ]

    # -- one name --------------------------------------------------------------------------------

    def find(self, viewer: Viewer, repo: str, name: str, tag: str = "") -> Found:
        """Return what a client's name means. Raises `AbsentError` in upstream's words."""
        if not is_repo(repo):
            raise AbsentError("source not found")
        if self.is_absent(viewer, repo):
            raise AbsentError("user not found")
        entry = self.look(viewer, repo, candidates(name), tag)
        if entry is None or entry.kind == TAGLINK:
            raise AbsentError("source not found")
        return Found(entry, self.links.ends(viewer, [entry]).get(entry))

    def is_absent(self, viewer: Viewer, repo: str) -> bool:
        """Return whether the viewer knows of no such repository."""
        try:
            self.hub.repositories.find(viewer, repo)
        except AbsentError:
            return True
        return False

    def look(self, viewer: Viewer, repo: str, names: Iterable[str], tag: str = "") -> Entry | None:
        """Return the entry with the first of some names that there is."""
        found = (self.links.look(viewer, repo, name, tag) for name in names)
        return next((entry for entry in found if entry is not None), None)

    def file_of(self, viewer: Viewer, repo: str, name: str) -> str:
        """Return the file that a client's name means. Raises `AbsentError`."""
        return self.find(viewer, repo, name).entry.name

    def tagged(self, viewer: Viewer, repo: str, tag: str, name: str) -> str:
        """Return the link in a tag that a client's name means. Raises `AbsentError`."""
        if self.is_absent(viewer, repo):
            raise AbsentError("user not found")
        entry = self.look(viewer, repo, candidates(name), tag)
        if entry is None:
            raise AbsentError("target not found on this tag")
        return entry.name

    def tag_link(self, viewer: Viewer, repo: str, name: str) -> Row:
        """Return where a tag link leads."""
        if self.is_absent(viewer, repo):
            raise AbsentError("user not found")
        entry = self.links.look(viewer, repo, name)
        if entry is None or entry.kind != TAGLINK:
            raise AbsentError("source not found")
        return {"target": texts.tag_target(entry.target or "")}

    def summary(self, viewer: Viewer, repo: str, name: str) -> Row:
        """Return what `light` and INFO tell of a flist."""
        found = self.find(viewer, repo, name)
        entry, flist = found.entry, found.demand_flist()
        row: Row = {
            "name": entry.name,
            "size": flist.size,
            "updated": int(flist.changed_s),
            "type": TYPES[entry.kind],
            "md5": self.md5(flist.digest),
        }
        if entry.kind == LINK:
            row["linktime"] = int(entry.changed_s)
            row["target"] = texts.relative_target(repo, entry.target or "")
        return row

    def listing(self, viewer: Viewer, repo: str, name: str) -> OpenFile:
        """Return everything that a flist holds, as JSON to send."""
        digest = self.find(viewer, repo, name).demand_flist().digest
        place = self.list_flist(viewer, digest)
        return self.hub.contents.opener.open(place, f'"{digest}.json"')

    def list_flist(self, viewer: Viewer, digest: str) -> Path:
        """Return the file with the list of everything that a flist holds.

        It is beside the copies of flists in the cache, and removed like those. Raises
        `InvalidError` for a flist that cannot be listed.
        """
        place = self.hub.contents.place(digest).with_suffix(".json")
        if not self.hub.contents.is_fresh(place):
            self.write_listing(viewer, digest, place)
        return place

    def write_listing(self, viewer: Viewer, digest: str, place: Path) -> None:
        """List a flist into a file."""
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self.hub.flists.open_version(viewer, digest) as flist, open_atomic(place) as file:
                for pieces in batches(contents_json(flist)):
                    file.write("".join(pieces).encode())
        except FormatError as error:
            raise InvalidError(f"cannot list this flist: {error.message}") from error
        self.hub.contents.evict()

    def metadata(self, viewer: Viewer, repo: str, name: str) -> Row:
        """Return a flist's metadata; its backend is this hub's public one."""
        flist = self.find(viewer, repo, name).demand_flist()
        with self.hub.flists.open_version(viewer, flist.digest) as opened:
            return read_metadata(opened, self.hub.settings.public_store)

    def md5(self, digest: str) -> str:
        """Return the MD5 of an object, which clients use as a checksum."""
        return self.sums.get(digest, lambda: self.read_md5(digest))

    def read_md5(self, digest: str) -> str:
        """Read an object through."""
        total = hashlib.md5(usedforsecurity=False)
        with open_regular(self.hub.contents.path(digest)) as stream:
            while piece := stream.read(PIECE_BYTES):
                total.update(piece)
        return total.hexdigest()


def make_row(entry: Entry, flist: Entry | None) -> Row:
    """Return the row of an entry; a link is as large and old as its flist, if it has one."""
    if entry.kind == TAGLINK:
        size, target = texts.size_text(TAG_LINK_BYTES), texts.tag_target(entry.target or "")
    else:
        own = len(entry.target or "") if flist is None else flist.size
        size = texts.size_text(own)
        target = texts.listed_target(entry.repository, entry.target or "", in_tag=entry.tag != "")
    row: Row = {"name": entry.name, "size": size, "updated": int((flist or entry).changed_s)}
    if entry.kind != FLIST:
        row["linktime"] = int(entry.changed_s)
    row["type"] = TYPES[entry.kind]
    return row if entry.kind == FLIST else {**row, "target": target}
