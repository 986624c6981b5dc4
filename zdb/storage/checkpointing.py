"""When a checkpoint is made, and how: at once, or by the thread while the server goes on."""

import os
from collections.abc import Callable

from zdb.errors import ZdbError
from zdb.storage import checkpoint
from zdb.storage.changes import Changes
from zdb.storage.checkpoint import Checkpoint
from zdb.storage.data_files import DataFiles
from zdb.storage.files import Disk, reason
from zdb.storage.index_files import IndexFiles
from zdb.storage.syncing import Syncer

MAX_BYTES = 64 << 20  # of data; opening after a crash reads about that
MAX_CHANGES = 100_000  # of older index entries


class Checkpointer:
    """Makes the checkpoints of one namespace."""

    def __init__(self, disk: Disk, syncer: Syncer, log: Callable[[str], None]) -> None:
        self.done_at = 0  # how long the last data file was at the last checkpoint
        self._disk = disk
        self._syncer = syncer
        self._log = log
        self._is_busy = False

    def is_due(self, data: DataFiles, index: IndexFiles) -> bool:
        """Return whether much has changed since the last one."""
        grown = data.current.length - self.done_at
        return grown > MAX_BYTES or len(index.changes) > MAX_CHANGES

    def make(self, data: DataFiles, index: IndexFiles) -> None:
        """Bring the index on the disk up to date, and note how far it goes."""
        self._syncer.wait()
        data.current.sync()
        index.current.sync()
        index.write_changes()
        checkpoint.write(index.folder, self._place(data, index))

    def begin(self, data: DataFiles, index: IndexFiles) -> None:
        """Let the thread do that; what fails is done by the next one."""
        if self._is_busy:
            return
        try:
            handles = [os.dup(data.current.handle), os.dup(index.current.handle)]
        except OSError as error:
            self._log(f"{index.folder}: no checkpoint: {reason(error)}")
            return
        place, changes, self._is_busy = self._place(data, index), index.take_changes(), True

        def work() -> None:
            try:
                for handle in handles:
                    self._disk.sync(handle)
                changes.write(index.files, self._disk)
                checkpoint.write(index.folder, place)
                index.writing = Changes()
            except (OSError, ZdbError) as error:
                self._log(f"{index.folder}: no checkpoint: {reason(error)}")
            finally:
                for handle in handles:
                    os.close(handle)
                self._is_busy = False

        self._syncer.run(work)

    def _place(self, data: DataFiles, index: IndexFiles) -> Checkpoint:
        self.done_at = data.current.length
        return Checkpoint(data.current_id, self.done_at, data.previous, index.current.length)
