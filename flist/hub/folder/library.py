"""A plain folder: `flists/<repo>/<name>.fl[.sig]` and `blocks/<hh>/<id>`."""

from pathlib import Path

from flist.hub.names import BLOCK, FILE, is_flist, is_repo


class Library:
    """The flists and blocks in a hub folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.flists = root / "flists"
        self.blocks = root / "blocks"

    def flist(self, repo: str, name: str) -> Path | None:
        """Return the path of a flist or signature, or None if there is none with that name."""
        if not is_repo(repo) or not FILE.fullmatch(name):
            return None
        path = self.flists / repo / name
        return path if path.is_file() else None

    def block(self, name: str) -> Path | None:
        """Return the path of a block, or None."""
        if not BLOCK.fullmatch(name):
            return None
        for path in (self.blocks / name[:2] / name, self.blocks / name):
            if path.is_file():
                return path
        return None

    def names(self) -> list[str]:
        """Return `repo/name.fl` of every flist."""
        found = self.flists.glob("*/*")
        return sorted(
            f"{path.parent.name}/{path.name}"
            for path in found
            if is_repo(path.parent.name) and is_flist(path.name) and path.is_file()
        )

    def describe(self) -> dict[str, list[dict[str, object]]]:
        """Return the flists of each repo, described as upstream's server does."""
        found: dict[str, list[dict[str, object]]] = {}
        for name in self.names():
            repo, _, file = name.partition("/")
            try:
                status = (self.flists / name).stat()
            except FileNotFoundError:
                continue  # removed a moment ago
            row: dict[str, object] = {
                "name": file,
                "path_uri": f"flists/{name}",
                "is_file": True,
                "size": status.st_size,
                "last_modified": int(status.st_mtime),
                "progress": 100.0,
            }
            found.setdefault(repo, []).append(row)
        return found
