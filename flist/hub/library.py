"""The hub's folder: `flists/<repo>/<name>.fl[.sig]` and `blocks/`, and which names are allowed."""

import hashlib
import re
import threading
from pathlib import Path
from typing import NamedTuple

REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}\.fl(\.sig)?")
BLOCK = re.compile(r"[0-9a-f]{64}")
KEPT_DIGESTS = 1024


class Document(NamedTuple):
    """A file as it was at one moment."""

    data: bytes
    etag: str


class Library:
    """What a hub gives out."""

    def __init__(self, root: Path) -> None:
        self.flists = root / "flists"
        self.blocks = root / "blocks"
        self.digests: dict[tuple[Path, int, int, int], str] = {}
        self.lock = threading.Lock()

    def flist(self, repo: str, name: str) -> Path | None:
        """Return the path of a flist or signature, or None if there is none of that name."""
        if not REPO.fullmatch(repo) or not FILE.fullmatch(name):
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
        return sorted(f"{path.parent.name}/{path.name}" for path in found if path.is_file())

    def etag(self, path: Path) -> str:
        """Return the strong ETag of a file: its SHA-256, computed once per version."""
        status = path.stat()
        identity = (path, status.st_mtime_ns, status.st_size, status.st_ino)
        with self.lock:
            known = self.digests.get(identity)
        if known is None:
            with path.open("rb") as stream:
                known = hashlib.file_digest(stream, "sha256").hexdigest()
            with self.lock:
                if len(self.digests) >= KEPT_DIGESTS:
                    self.digests.clear()
                self.digests[identity] = known
        return f'"{known}"'
