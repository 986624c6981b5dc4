"""The pieces that an unfinished store has written, in case it fails.

They are noted by the threads that write them: an interruption, which hits the main thread at any
point, does not lose one.
"""

import threading
from functools import partial

from zstor.backends.zdb import Servers
from zstor.errors import BackendError, UnreachableError
from zstor.model import Backend

MAX_NOTES = 100_000
UNDO_S = 5.0
"""How long `SLICE` pieces may take to be removed, before the journal keeps the rest."""
SLICE = 64


class Written:
    """Writes pieces and notes their keys.

    `is_uncertain` says that there may be more: a backend may have stored a piece whose key did
    not arrive, or there were too many to note.
    """

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        self.notes: list[tuple[Backend, bytes]] = []
        self.is_uncertain = False
        self.is_ended = False
        self.running = 0
        self.change = threading.Condition()

    def add(self, backend: Backend, piece: bytes) -> bytes:
        """Write a piece and return its key."""
        with self.change:
            if self.is_ended:
                raise BackendError("cannot store: interrupted")
            self.running += 1
        key = None
        try:
            key = self.servers.add(backend, piece)
        except UnreachableError:
            self.is_uncertain = True
            raise
        finally:
            self._end(backend, key)
        return key

    def _end(self, backend: Backend, key: bytes | None) -> None:
        with self.change:
            self.running -= 1
            if key is not None and len(self.notes) < MAX_NOTES:
                self.notes.append((backend, key))
            elif key is not None:
                self.is_uncertain = True
            self.change.notify_all()

    def undo(self) -> bool:
        """Remove all pieces and take no more; return whether none is left for certain."""
        with self.change:
            self.is_ended = True
            is_still = self.change.wait_for(lambda: not self.running, UNDO_S)
        slices = range(0, len(self.notes), SLICE)
        is_clean = all(self._remove(self.notes[i : i + SLICE]) for i in slices)
        return is_still and is_clean and not self.is_uncertain

    def _remove(self, notes: list[tuple[Backend, bytes]]) -> bool:
        """Remove some pieces; return whether all are gone."""
        calls = [partial(self.servers.delete, *note) for note in notes]
        ends = self.servers.pool.gather(calls, lambda _: True, UNDO_S)
        is_complete = len(ends) == len(calls)
        return is_complete and not any(isinstance(end, BackendError) for end in ends.values())
