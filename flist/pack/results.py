"""Puts the results of pack's workers together by file."""

from collections.abc import Sequence

from flist.errors import FlistError
from flist.model import Block, Inode
from flist.pack.known_files import Entry, is_settled, split_blocks
from flist.pack.pieces import SEGMENT_BYTES
from flist.pack.scan import Scan

Packed = tuple[int, int, int, bytes, dict[bytes, bytes], bool]
"""The result of one piece of a file: inode number, start, number of bytes, their joined blocks,
rows of parts by block id, and whether the piece was known and not read. (A tuple without names is
pickled in half the time.)"""
VANISHED = -1
"""The number of bytes of a file that was removed or replaced after it had been listed."""


class Results:
    """Files by inode number: their `joined` blocks, `blocks` and `sizes`. Pieces come in any order;
    `pieces` holds those of large files until `settle`. `rows` are those of `zos_part`, by block
    id, `vanished` the files that are gone."""

    def __init__(self) -> None:
        self.joined: dict[int, bytes] = {}
        self.blocks: dict[int, list[Block]] = {}
        self.sizes: dict[int, int] = {}
        self.pieces: dict[int, list[tuple[int, int, bytes]]] = {}
        self.rows: dict[bytes, bytes] = {}
        self.vanished: set[int] = set()
        self.done = 0
        self.read = 0

    def add(self, packed: Sequence[Packed]) -> None:
        """Add the results of one batch, while the workers are busy with others."""
        for ino, start, length, joined, rows, is_reused in packed:
            if length == VANISHED:
                self.vanished.add(ino)
                continue
            self.done += length
            self.read += 0 if is_reused else length
            if start or length == SEGMENT_BYTES:
                self.pieces.setdefault(ino, []).append((start, length, joined))
                self.rows.update(rows)
            else:
                self.keep(ino, length, joined)

    def keep(self, ino: int, size: int, joined: bytes) -> None:
        """Add a whole file."""
        self.sizes[ino] = size
        self.joined[ino] = joined
        self.blocks[ino] = split_blocks(joined)

    def settle(self, scan: Scan) -> list[Inode]:
        """Return the scan's inodes with sizes that fit the blocks, also of files that changed while
        they were packed."""
        for ino, pieces in self.pieces.items():
            size = self.sizes.get(ino, 0)
            kept = [self.joined.get(ino, b"")]
            for start, length, joined in sorted(pieces):
                if start == size:  # or else the file became shorter: drop what comes after its end
                    kept.append(joined)
                    size += length
            self.keep(ino, size, b"".join(kept))
        inodes = list(scan.inodes)
        sizes = self.sizes
        for ino, _, size, _ in scan.files:
            if size != sizes.get(ino, 0):
                inodes[ino - 1] = inodes[ino - 1]._replace(size=sizes.get(ino, 0))
        for inode in scan.inodes:
            if inode.same_as and inode.is_file:
                inodes[inode.ino - 1] = inode._replace(size=inodes[inode.same_as - 1].size)
                if inode.same_as in self.blocks:
                    self.blocks[inode.ino] = self.blocks[inode.same_as]
        return self.leave_out(scan, inodes)

    def leave_out(self, scan: Scan, inodes: list[Inode]) -> list[Inode]:
        """Return the inodes without those that have vanished."""
        gone = scan.vanished | self.vanished
        if not gone:
            return inodes
        for ino in gone:
            for table in (self.sizes, self.joined, self.blocks, scan.meta):
                table.pop(ino, None)
        if any(inode.same_as in gone for inode in inodes if inode.same_as):
            raise FlistError("cannot pack: a file with several names has changed", hint="try again")
        return [inode for inode in inodes if inode.ino not in gone]

    def known_files(self, scan: Scan, now_ns: int) -> dict[bytes, Entry]:
        """Return the files that the next pack of the directory may skip, by path: those that did
        not change while they were read, and whose times will show any later change. `now_ns` is the
        time at the start of the pack."""
        sizes, joined = self.sizes, self.joined
        return {
            path: (stamp, joined[ino])
            for ino, path, size, stamp in scan.files
            if sizes.get(ino) == size and is_settled(stamp, now_ns)
        }
