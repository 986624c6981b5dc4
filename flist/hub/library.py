"""The hub's folder: `flists/<repo>/<name>.fl[.sig]` and `blocks/`, and which names are allowed."""

import re
from pathlib import Path

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\.fl(\.sig)?")
BLOCK = re.compile(r"[0-9a-f]{64}")
RESERVED = ("api", "blocks", "flists", "website")
"""No repository has these names: the hub has other things at their addresses."""


def is_repo(name: str) -> bool:
    """Return whether a repository may have this name."""
    return REPO.fullmatch(name) is not None and name not in RESERVED


class Library:
    """The flists and blocks in a hub folder."""

    def __init__(self, root: Path) -> None:
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
        found = self.flists.glob("*/*.fl")
        return sorted(
            f"{path.parent.name}/{path.name}"
            for path in found
            if is_repo(path.parent.name) and FILE.fullmatch(path.name) and path.is_file()
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
