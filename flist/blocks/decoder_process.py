"""The decoder process: takes batches of chunks from a pipe and decodes them into shared memory.

A batch is its length and a marshalled list of (number, start, size, id, key, check). Each chunk
gives one result in a second pipe, in order. At the start of the shared memory the mount notes,
without a lock, the first number that it still needs, and which of the next numbers it decodes
itself. Reading a note late costs time, not correctness.
"""

import gc
import marshal
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from typing import NoReturn

from flist.blocks.malloc import keep_buffers
from flist.model import Block

LENGTH = struct.Struct("<I")
RESULT = struct.Struct("<if")
"""The encrypted size in bytes, or `FAILED` or `SKIPPED`, and the seconds that it took."""
FAILED, SKIPPED = -1, -2
HEAD_BYTES = mmap.PAGESIZE
CLAIMS = 1024
"""More than there are chunks in flight, so that no two share a place."""

Load = Callable[[Block], bytes | None]
"""Returns the encrypted bytes of a block, their id checked, or None if they are not here."""


def split_head(memory: memoryview) -> tuple[memoryview, memoryview]:
    """Return the first number that the mount still needs (one item), and the claims by number."""
    return memory[:8].cast("Q"), memory[8 : 8 + CLAIMS]


def run(
    load: Load, memory: memoryview, orders: int, answers: int, others: tuple[int, int]
) -> NoReturn:
    """Decode until the pipe `orders` ends; never returns. `others` are the mount's pipe ends."""
    try:
        for handle in others:
            os.close(handle)
        gc.disable()  # decoding makes no cycles, and a traversal would copy the mount's pages
        keep_buffers()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the mount sends SIGKILL
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        decode_batches(load, memory, orders, answers)
    except OSError:
        pass  # the mount has ended
    finally:
        os._exit(0)


def decode_batches(load: Load, memory: memoryview, orders: int, answers: int) -> None:
    """Decode batches until the pipe `orders` ends."""
    needed, claims = split_head(memory)
    with open(orders, "rb") as stream:
        while head := stream.read(LENGTH.size):
            batch = marshal.loads(stream.read(*LENGTH.unpack(head)))  # noqa: S302 our own
            for number, start, size, *hashes in batch:
                began = time.monotonic()
                done = SKIPPED
                if number >= needed[0] and not claims[number % CLAIMS]:
                    done = decode_one(load, Block(*hashes), memory[start : start + size])
                os.write(answers, RESULT.pack(done, time.monotonic() - began))


def decode_one(load: Load, block: Block, target: memoryview) -> int:
    """Fill `target` with the plain bytes of a block; return its encrypted size, or `FAILED`."""
    from flist.blocks.codec import decode_into  # by the first batch: few mounts get one

    try:
        data = load(block)
        if data is None:
            return FAILED
        decode_into(block, data, target)
    except Exception:  # the mount will decode it again and report the error
        return FAILED
    return len(data)
