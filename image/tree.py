"""A file system in memory: paths and their entries. Pure; no I/O."""

import fnmatch
import functools
import re
from collections.abc import Iterable, Iterator

from image.errors import ImageError
from image.model import Directory, Entry, File, Symlink

LINKS_MAX = 16


class Tree:
    """A mapping from paths to entries; the parents of every entry exist and are directories."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        """Yield the paths in byte order, so a parent comes before its children."""
        return iter(sorted(self._entries, key=str.encode))

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Yield paths with their entries, in the order of `__iter__`."""
        return ((path, self._entries[path]) for path in self)

    def files(self) -> Iterator[tuple[str, File]]:
        """Yield the regular files with their paths, in order."""
        return ((path, entry) for path, entry in self.items() if isinstance(entry, File))

    def content(self, path: str) -> bytes:
        """Return the content of the regular file at `path`."""
        entry = self._entries[path]
        assert isinstance(entry, File)
        return entry.content

    def add(self, path: str, entry: Entry) -> None:
        """Add `entry` at `path`, and missing parents as directories (0755, root).

        Adding a path twice is an error, unless both are directories; then the later one counts.
        """
        check_path(path)
        old = self._entries.get(path)
        if old is not None and not (isinstance(old, Directory) and isinstance(entry, Directory)):
            raise ImageError(f"cannot put two things at /{path}")
        parent = path.rpartition("/")[0]
        if parent and parent not in self._entries:
            self.add(parent, Directory())
        if parent and not isinstance(self._entries[parent], Directory):
            raise ImageError(f"cannot put /{path}: /{parent} is not a directory")
        self._entries[path] = entry

    def merge(self, other: "Tree") -> None:
        """Add all entries of `other`."""
        for path, entry in other.items():
            self.add(path, entry)

    def resolve(self, path: str) -> str | None:
        """Follow symbolic links and return the path that `path` leads to, or None."""
        done: list[str] = []
        todo = path.split("/")[::-1]
        for _ in range(LINKS_MAX * 16):
            if not todo:
                return "/".join(done)
            part = todo.pop()
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            entry = self._entries.get("/".join([*done, part]))
            if entry is None:
                return None
            if not isinstance(entry, Symlink):
                done.append(part)
                continue
            done = [] if entry.target.startswith("/") else done
            todo += entry.target.split("/")[::-1]
        return None

    def size_bytes(self) -> int:
        """Return the total size of all files; hard links count once."""
        return sum(len(file.content) for file in {id(f): f for _, f in self.files()}.values())


def check_path(path: str) -> None:
    """Raise `ImageError` unless `path` is relative, normal and printable on one line."""
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or any(c in path for c in "\0\n"):
        raise ImageError(f"cannot use the path {path!r}")


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Return whether a glob of `patterns` matches `path` ("*" also matches slashes)."""
    return _compile(tuple(patterns)).match(path) is not None


@functools.lru_cache(maxsize=512)
def _compile(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)")
