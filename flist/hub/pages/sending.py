"""A file of a flist as something to send: its blocks are fetched while it is sent."""

import contextlib
from dataclasses import dataclass

from anyio import to_thread

from flist.model import CHUNK_BYTES, Inode
from flist.mount.reader import Reader


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file. `uses` keeps the flist open, and is closed with the file."""

    reader: Reader
    inode: Inode
    etag: str
    uses: contextlib.ExitStack

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.inode.size

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes of the chunk that `start` lies in; a damaged block ends the response."""
        inside = min(size, CHUNK_BYTES - start % CHUNK_BYTES)
        return await to_thread.run_sync(self.reader.read, self.inode, inside, start)

    def close(self) -> None:
        """Let go of the flist."""
        self.uses.close()
