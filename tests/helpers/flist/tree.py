"""A tree in memory, from paths."""

import stat

from flist.model import ROOT_INO, Block, Inode, Meta


class PathSource:
    """The source of a `Tree`: by path the size of a file, the target of a link, or None for a
    directory."""

    def __init__(self, paths: dict[bytes, int | bytes | None]) -> None:
        self.kinds: dict[bytes, int | bytes | None] = {b"": None, **paths}
        self.numbers = {path: number for number, path in enumerate(self.kinds, ROOT_INO)}
        self.paths = dict(enumerate(self.kinds, ROOT_INO))

    def inode(self, ino: int) -> Inode | None:
        path = self.paths.get(ino)
        if path is None:
            return None
        kind = self.kinds[path]
        mode = stat.S_IFREG if isinstance(kind, int) else stat.S_IFLNK if kind else stat.S_IFDIR
        size = kind if isinstance(kind, int) else 0
        folder, _, name = path.rpartition(b"/")
        return Inode(ino, self.numbers[folder], name, size, 0, 0, mode, 0, 0, 0)

    def children(self, ino: int) -> list[Inode]:
        inodes = [self.inode(number) for number in self.paths if number != ROOT_INO]
        return [inode for inode in inodes if inode is not None and inode.parent == ino]

    def child(self, folder: int, name: bytes) -> Inode | None:
        raise AssertionError((folder, name))

    def entries_after(self, folder: int, ino: int, limit: int) -> list[Inode]:
        return [inode for inode in self.children(folder) if inode.ino > ino][:limit]

    def is_large(self, _folder: int) -> bool:
        return False

    def meta(self, ino: int) -> Meta:
        kind = self.kinds[self.paths[ino]]
        return Meta(kind if isinstance(kind, bytes) else None)

    def blocks(self, ino: int) -> list[Block]:
        raise AssertionError(ino)

    def block_rows(self, _ino: int) -> range | None:
        return None

    def blocks_between(self, ino: int, rows: range, first: int) -> list[Block]:
        raise AssertionError((ino, rows, first))

    def parts(self, _block_id: bytes) -> bytes | None:
        return None

    def small_blocks(self, folder: int, start: int) -> dict[int, Block]:
        raise AssertionError((folder, start))

    def large_folders(self) -> set[int]:
        return set()

    def folder_counts(self) -> dict[int, int]:
        return {}

    def totals(self) -> tuple[int, int]:
        return 0, 0

    def data_bytes(self) -> dict[int, int]:
        return {}

    def xattr_names(self) -> set[bytes]:
        return set()
