"""Puts the blocks of an archive into a hub's store, as uploads of an account."""

from flist.archive.chunks import ChunkWriter
from flist.blocks.codec import check_arrival
from flist.hub.state.blocks import Blocks
from flist.hub.state.viewer import Viewer
from flist.model import Route
from flist.store.routed import RoutedStore

EVERYWHERE = Route(0, 255, "hub:")


class UploadStore:
    """The blocks of a hub as a store that is written to. They are not open to everybody."""

    def __init__(self, blocks: Blocks, viewer: Viewer) -> None:
        self.blocks = blocks
        self.viewer = viewer
        self.ids: set[bytes] = set()

    def get(self, block_id: bytes) -> bytes:
        """Return a block."""
        return self.blocks.get(block_id)

    def has(self, _block_id: bytes) -> bool:
        """Return False: `put` finds out, and notes who has uploaded the block."""
        return False

    def put(self, block_id: bytes, data: bytes) -> None:
        """Keep a block."""
        self.blocks.put(self.viewer, block_id, data, is_open=False)
        self.ids.add(block_id)

    def flush(self) -> None:
        """Return when everything that was put would survive a power cut."""
        self.blocks.store.flush()

    def close(self) -> None:
        """Do nothing: the store is the hub's."""


class HubWriter(ChunkWriter):
    """Encodes chunks, and uploads them to a hub."""

    def __init__(self, blocks: Blocks, viewer: Viewer, *, is_legacy: bool) -> None:
        super().__init__([EVERYWHERE], is_legacy=is_legacy)
        self.opened = UploadStore(blocks, viewer)

    def open_stores(self) -> RoutedStore:
        """Return the hub's store."""
        return RoutedStore([(EVERYWHERE, self.opened)], check_arrival)
