"""The process that decodes ahead: what it gives is right, and nothing depends on it."""

import os
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from flist.blocks.codec import check_arrival, encode
from flist.blocks.decoder import MAX_JOBS, REGIONS, Decoder, start_decoder
from flist.model import CHUNK_BYTES, Block, Route
from flist.store.fetch import Fetcher
from flist.store.folder import FolderStore
from flist.store.routed import RoutedStore
from tests.helpers.waiting import wait_until

SIZE = 1000


def make_plain(number: int) -> bytes:
    """Return content that no other number has."""
    return b"%9d " % number * (SIZE // 10)


def put(store: FolderStore, plains: Sequence[bytes]) -> list[Block]:
    """Put blocks into a store."""
    blocks = []
    for plain in plains:
        block, data = encode(plain)
        store.put(block.id, data)
        blocks.append(block)
    return blocks


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "blocks")


@pytest.fixture
def fetcher(store: FolderStore) -> Iterator[Fetcher]:
    routed = RoutedStore([(Route(0, 255, "dir"), store)], check_arrival)
    fetcher = Fetcher(routed, None, is_local=True)
    with start_decoder(fetcher.load_packed_now, fetcher.note_decoded) as decoder:
        fetcher.decoder = decoder
        yield fetcher


def ended(decoder: Decoder) -> Callable[[], bool]:
    """Tell, when asked, whether all that was sent has a result."""

    def is_so() -> bool:
        decoder.collect(0.01)
        return not decoder.waiting

    return is_so


def decoder_of(fetcher: Fetcher) -> Decoder:
    """Return the decoder of a fetcher."""
    assert fetcher.decoder is not None
    return fetcher.decoder


def test_what_was_decoded_ahead_is_what_would_have_been_decoded(
    store: FolderStore, fetcher: Fetcher
) -> None:
    plains = [make_plain(number) for number in range(10)] + [os.urandom(CHUNK_BYTES)]
    blocks = put(store, plains)
    decoder = decoder_of(fetcher)
    decoder.send(dict(zip(blocks, map(len, plains), strict=True)))
    wait_until(ended(decoder), "all results")
    for block, plain in zip(blocks, plains, strict=True):
        assert bytes(decoder.take(block, len(plain)) or b"") == plain
        assert fetcher.plain_now(block, len(plain)) == plain
        assert decoder.take(block, len(plain) - 1) is None  # a size that another file claims
    assert not fetcher.chunks  # nothing was decoded here
    assert fetcher.statistics.fetched == len(blocks)


def test_regions_are_used_again_only_for_what_nobody_needs(
    store: FolderStore, fetcher: Fetcher
) -> None:
    count = 3 * REGIONS
    plains = [make_plain(number) for number in range(count)]
    blocks = put(store, plains)
    decoder = decoder_of(fetcher)
    sent = 0
    for number, (block, plain) in enumerate(zip(blocks, plains, strict=True)):
        while sent < count and decoder.has_room():
            decoder.send({blocks[sent]: SIZE})
            sent += 1
        assert number < sent <= number + REGIONS
        wait_until(ended(decoder), "all results")
        assert bytes(decoder.take(block, SIZE) or b"") == plain
    assert len(decoder.slots) == REGIONS
    assert decoder.take(blocks[0], SIZE) is None
    assert fetcher.plain_now(blocks[0], SIZE) == plains[0]


def test_wrong_missing_and_misnamed_blocks_are_left_to_who_needs_them(
    store: FolderStore, fetcher: Fetcher
) -> None:
    good, damaged, missing, other_key = put(store, [make_plain(number) for number in range(4)])
    path = Path(store.path(damaged.id.hex()))
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    Path(store.path(missing.id.hex())).unlink()
    blocks = [damaged, missing, Block(other_key.id, good.key), Block(b"short", b"key"), good]
    decoder = decoder_of(fetcher)
    decoder.send(dict.fromkeys(blocks, SIZE))
    wait_until(ended(decoder), "all results")
    assert [decoder.take(block, SIZE) for block in blocks[:-1]] == [None] * 4
    assert bytes(decoder.take(good, SIZE) or b"") == make_plain(0)
    decoder.send({other_key: SIZE - 1})
    wait_until(ended(decoder), "all results")
    assert decoder.take(other_key, SIZE - 1) is None


def test_what_is_claimed_or_passed_is_left_out(store: FolderStore, fetcher: Fetcher) -> None:
    decoder = decoder_of(fetcher)
    os.kill(decoder.pid, signal.SIGSTOP)
    blocks = put(store, [make_plain(number) for number in range(MAX_JOBS)])
    decoder.send(dict.fromkeys(blocks, SIZE))
    assert decoder.take(blocks[-2], SIZE) is None  # not begun: nobody waits for it
    first, last = decoder.slots[blocks[3]], decoder.slots[blocks[5]]
    decoder.reach(first, last)
    assert decoder.ahead_bytes == (MAX_JOBS - 6) * SIZE
    os.kill(decoder.pid, signal.SIGCONT)
    wait_until(ended(decoder), "all results")
    left_out = [number for number in range(MAX_JOBS) if not decoder.slots[blocks[number]].is_good]
    assert left_out == [0, 1, 2, MAX_JOBS - 2]
    assert fetcher.statistics.fetched == MAX_JOBS - len(left_out)


def test_who_waits_for_a_large_chunk_decodes_the_next_one(
    store: FolderStore, fetcher: Fetcher
) -> None:
    decoder = decoder_of(fetcher)
    os.kill(decoder.pid, signal.SIGSTOP)
    plains = [os.urandom(CHUNK_BYTES), make_plain(1), make_plain(2)]
    blocks = put(store, plains)
    decoder.send(dict(zip(blocks, map(len, plains), strict=True)))
    assert decoder.claim_next(blocks[1]) is None  # the process is not at that one
    assert fetcher.plain_now(blocks[0], CHUNK_BYTES) == plains[0]
    assert list(fetcher.chunks.values()) == [plains[1], plains[0]]
    os.kill(decoder.pid, signal.SIGCONT)
    wait_until(ended(decoder), "all results")
    assert [decoder.slots[block].is_good for block in blocks] == [False, False, True]
    assert fetcher.plain_now(blocks[1], SIZE) == plains[1]


@pytest.mark.parametrize("is_stopped", [False, True])
def test_without_the_process_all_goes_on(
    store: FolderStore, fetcher: Fetcher, *, is_stopped: bool
) -> None:
    decoder = decoder_of(fetcher)
    plains = [make_plain(number) for number in range(REGIONS + 2)]
    blocks = put(store, plains)
    os.kill(decoder.pid, signal.SIGSTOP if is_stopped else signal.SIGKILL)
    wait_until(lambda: state_of(decoder.pid) == ("T" if is_stopped else "Z"), "the signal's effect")
    for block, plain in zip(blocks, plains, strict=True):
        if decoder.has_room():
            decoder.send({block: SIZE})
        assert fetcher.plain_now(block, SIZE) == plain
    assert decoder.is_alive == is_stopped
    assert not decoder.has_room()


def test_it_ends_with_the_one_it_works_for(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with start_decoder(lambda _block: None, lambda _size, _seconds: None) as decoder:
            os.write(writing, struct.pack("<i", decoder.pid))
            signal.pause()
        os._exit(0)
    os.close(writing)
    (helper,) = struct.unpack("<i", os.read(reading, 4))
    os.close(reading)
    assert Path(f"/proc/{helper}").exists()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    wait_until(lambda: state_of(helper) == "Z", "the decoder to end")


def state_of(pid: int) -> str:
    """Return the letter for what a process is at (proc_pid_stat(5)); Z, too, for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return "Z"
