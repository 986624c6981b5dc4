"""Sending blocks to stores that may already have them."""

import threading
from pathlib import Path

import pytest

from flist.archive.chunks import ChunkWriter
from flist.blocks.codec import check_arrival, encode
from flist.errors import StoreError
from flist.folders import Folders
from flist.model import CHUNK_BYTES, Block, Route
from flist.pack.encoder import Encoder
from flist.pack.known_files import BLOCK_BYTES
from flist.pack.pieces import Piece
from flist.store.base import Store
from flist.store.folder import FolderStore
from flist.store.routed import RoutedStore
from flist.store.sender import PARCEL_BLOCKS, PARCELS, Sender, find_lacking, give
from tests.helpers.waiting import wait_until


def name(number: int) -> bytes:
    return number.to_bytes(2, "big") + bytes(30)


class RemoteStore:
    """A store in memory that records what it is sent; `gate` blocks every put."""

    def __init__(self, *known: bytes) -> None:
        self.blocks = dict.fromkeys(known, b"")
        self.sent: list[bytes] = []
        self.gate = threading.Event()
        self.gate.set()
        self.waiting = 0

    def get(self, block_id: bytes) -> bytes:
        return self.blocks[block_id]

    def has(self, block_id: bytes) -> bool:
        return block_id in self.blocks

    def put(self, block_id: bytes, data: bytes) -> None:
        self.waiting += 1
        self.gate.wait(60)
        self.sent.append(block_id)
        self.blocks[block_id] = data

    def flush(self) -> None: ...

    def close(self) -> None: ...


class FullStore(RemoteStore):
    """A store that refuses every block."""

    def put(self, block_id: bytes, data: bytes) -> None:
        raise StoreError("full")


class AskableStore(RemoteStore):
    """A store that must be asked about many blocks at once, never about one."""

    def __init__(self, *known: bytes) -> None:
        super().__init__(*known)
        self.questions: list[int] = []

    def has(self, block_id: bytes) -> bool:
        raise NotImplementedError

    def missing(self, block_ids: list[bytes]) -> set[bytes]:
        self.questions.append(len(block_ids))
        return {block_id for block_id in block_ids if block_id not in self.blocks}


def routed(*stores: Store) -> RoutedStore:
    return RoutedStore([(Route(0, 255, "x"), store) for store in stores], check_arrival)


def test_only_missing_blocks_are_sent() -> None:
    one, two = RemoteStore(name(1), name(2)), AskableStore(name(2))
    blocks = {name(number): b"data" for number in (1, 2, 3)}
    give(routed(one, two), blocks)
    assert one.sent == [name(3)]
    assert sorted(two.sent) == [name(1), name(3)]
    assert two.questions == [3]
    assert find_lacking(routed(one, two), list(blocks)) == {}
    assert find_lacking(routed(one, two), [name(4)]) == {name(4): [one, two]}


def test_blocks_are_checked_and_sent_in_parcels() -> None:
    count = 5 * PARCEL_BLOCKS + 3
    store = AskableStore(*map(name, range(0, count, 2)))
    sender = Sender(routed(store))
    for number in range(count):
        sender.put(name(number), b"data")
    sender.flush()
    assert sorted(store.sent) == [name(number) for number in range(1, count, 2)]
    assert sorted(store.questions) == [3] + [PARCEL_BLOCKS] * 5
    store.questions.clear()
    assert not find_lacking(routed(store), [name(number) for number in range(count)])
    assert sorted(store.questions) == [3] + [PARCEL_BLOCKS] * 5


def test_a_slow_store_blocks_the_sender_after_some_parcels() -> None:
    store = RemoteStore()
    store.gate.clear()
    sender = Sender(routed(store))
    count = (PARCELS + 1) * PARCEL_BLOCKS

    def fill() -> None:
        for number in range(count):
            sender.put(name(number), b"data")

    filler = threading.Thread(target=fill)
    filler.start()
    wait_until(lambda: store.waiting == PARCELS, "parcels are being sent")
    filler.join(0.1)
    assert filler.is_alive()
    assert store.waiting == PARCELS
    store.gate.set()
    filler.join(60)
    sender.flush()
    assert len(store.sent) == count


def test_a_refusal_of_the_store_is_raised_by_flush() -> None:
    sender = Sender(routed(FullStore()))
    sender.put(name(1), b"data")
    with pytest.raises(StoreError, match="full"):
        sender.flush()


def test_a_folder_gets_its_blocks_directly(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    Sender(routed(store)).put(name(1), b"data")
    assert store.get(name(1)) == b"data"


def test_only_new_blocks_of_an_image_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    chunks = [b"one", b"two", b"three", b"two"]
    store = AskableStore(encode(b"one").block.id)
    monkeypatch.setattr("flist.archive.chunks.open_routes", lambda *_: routed(store))
    blocks: list[Block] = []
    with ChunkWriter([]) as writer:
        for chunk in chunks:
            writer.add(chunk, blocks)
        writer.flush()
    assert blocks == [encode(chunk).block for chunk in chunks]
    assert sorted(store.sent) == sorted(encode(chunk).block.id for chunk in (b"two", b"three"))


def test_pack_reads_only_files_with_missing_blocks() -> None:
    """The store is asked about all blocks of a batch at once."""
    store = AskableStore(name(1), name(2), name(3))
    encoder = Encoder([], Folders(Path("/")))
    encoder.sender = Sender(routed(store))

    def piece(ino: int, *numbers: int) -> Piece:
        known = b"".join(name(number) * (BLOCK_BYTES // 32) for number in numbers)
        return ino, b"/nowhere", 0, len(numbers) * CHUNK_BYTES, known, False

    done = encoder.work([piece(1, 1, 2), piece(2, 3), piece(3, 1)])
    assert [packed[5] for packed in done] == [True] * 3
    assert store.questions == [3]
    with pytest.raises(Exception, match="cannot read /nowhere"):
        encoder.work([piece(4, 3, 4)])
    assert store.questions == [3, 1]
