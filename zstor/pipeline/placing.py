"""Which backends a file goes to: placed by the rules, among those that are fit now."""

from functools import partial

from zstor.backends.zdb import Namespace
from zstor.errors import BackendError, PlacementError
from zstor.model import Backend
from zstor.pipeline.vault import Vault
from zstor.placement import place_shards

SEQUENTIAL = "sequential"


class Places:
    """The backends of the shards, in their order, and those that turned out to be unfit."""

    def __init__(self, vault: Vault, room: int) -> None:
        self.vault = vault
        self.room = room
        self.unfit: dict[Backend, str] = {}
        self.checked: set[Backend] = set()
        self.chosen: list[Backend] = []
        self._choose()

    def _choose(self) -> None:
        """Place all shards on backends that answer and have room."""
        while True:
            self.chosen = self._place(())
            if self._are_fit(self.chosen):
                return

    def _place(self, kept: tuple[Backend, ...]) -> list[Backend]:
        try:
            return place_shards(self.vault.config, kept, self.unfit)
        except PlacementError as error:
            for reason in self.unfit.values():
                error.add_note(reason)
            raise

    def _are_fit(self, backends: list[Backend]) -> bool:
        """Return whether these backends can be used; note those that can't."""
        new = [backend for backend in backends if backend not in self.checked]
        servers = self.vault.servers
        found = self.vault.pool.run([partial(servers.info, backend) for backend in new])
        for backend, info in zip(new, found, strict=True):
            self.checked.add(backend)
            if fault := self._fault(backend, info):
                self.unfit[backend] = fault
        return not any(backend in self.unfit for backend in backends)

    def _fault(self, backend: Backend, info: Namespace | BackendError) -> str | None:
        if isinstance(info, BackendError):
            return info.message
        if info.mode != SEQUENTIAL:
            return f"{backend.place} is in mode {info.mode} instead of {SEQUENTIAL}"
        if info.is_locked:
            return f"{backend.place} is locked"
        if info.free < self.room:
            return f"{backend.place} has {info.free} bytes free, {self.room} are needed"
        return None

    def replace(self, shard: int, failed: Backend, reason: str) -> None:
        """Choose another backend for a shard, unless that has been done."""
        self.unfit.setdefault(failed, reason)
        while self.chosen[shard] in self.unfit:
            kept = tuple(backend for backend in self.chosen if backend not in self.unfit)
            spare = self._place(kept)
            if self._are_fit(spare):
                self.chosen[shard] = spare[0]
