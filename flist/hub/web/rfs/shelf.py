"""The flists that `browse` lists: of a hub, or of a plain folder."""

from pathlib import Path

from flist.hub.errors import AbsentError
from flist.hub.folder.library import Library
from flist.hub.library.hub import Hub
from flist.hub.state.viewer import Viewer


class FolderShelf:
    """The flists of a plain folder: everybody may read them."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def names(self, asking: Viewer) -> list[str]:
        """Return `repo/name` of every flist."""
        del asking
        return self.library.names()

    def describe(self, asking: Viewer) -> dict[str, list[dict[str, object]]]:
        """Return the flists of each repository."""
        del asking
        return self.library.describe()

    def flist(self, asking: Viewer, repo: str, name: str) -> Path | None:
        """Return a flist's file, or None."""
        del asking
        return self.library.flist(repo, name)


class HubShelf:
    """The flists of a hub that the viewer may read."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def names(self, asking: Viewer) -> list[str]:
        """Return `repo/name` of every flist."""
        return self.hub.flists.names(asking)

    def describe(self, asking: Viewer) -> dict[str, list[dict[str, object]]]:
        """Return the flists of each repository."""
        found: dict[str, list[dict[str, object]]] = {}
        for repository in self.hub.repositories.list(asking):
            rows: list[dict[str, object]] = [
                {"name": entry.name, "path_uri": f"flists/{repository.name}/{entry.name}",
                 "is_file": True, "size": entry.size, "last_modified": int(entry.changed_s),
                 "progress": 100.0}
                for entry in self.hub.flists.entries(asking, repository.name)
                if entry.digest
            ]  # fmt: skip
            if rows:
                found[repository.name] = rows
        return found

    def flist(self, asking: Viewer, repo: str, name: str) -> Path | None:
        """Return a local copy of a flist, or None."""
        try:
            return self.hub.contents.path(self.hub.flists.find(asking, repo, name).digest)
        except AbsentError:
            return None
