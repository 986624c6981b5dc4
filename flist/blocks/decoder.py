"""A second process that decodes blocks ahead, into memory that it shares with the mount.

The mount sends batches of the chunks it expects to be asked for; they are decoded in that order,
each into a place that the mount chose, and for each one result comes back through a pipe. Nothing
depends on this process: what it has not decoded, or could not, is decoded by who needs it, and when
it is gone the mount goes on alone. It ends when the mount has ended, whatever that died of: then
its pipe is at its end.
"""

import contextlib
import gc
import marshal
import mmap
import os
import select
import signal
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from flist.blocks.codec import decode_into
from flist.blocks.malloc import keep_buffers
from flist.model import CHUNK_BYTES, Block

REGIONS = 4
REGION_BYTES = 4 * CHUNK_BYTES
MAX_JOBS = 128
"""In a batch: what all regions' batches take in the pipe is less than it holds."""
WAIT_S = 0.05
LENGTH = struct.Struct("<I")
RESULT = struct.Struct("<if")
FAILED, SKIPPED = -1, -2
HEAD_BYTES = mmap.PAGESIZE
"""Before the chunks: the first number still needed, and which of the next ones are claimed."""
LONG_BYTES = 128 * 1024
CLAIMS = 1024
"""More than all regions hold, so no two that wait share a place."""
Load = Callable[[Block], bytes | None]


class Slot:
    """A chunk in a batch: `number` counts all since the start, `end` their bytes."""

    __slots__ = ("block", "end", "is_good", "number", "size", "start")

    def __init__(self, number: int, block: Block, start: int, size: int, end: int) -> None:
        self.number = number
        self.block = block
        self.start = start
        self.size = size
        self.end = end
        self.is_good = False


class Decoder:
    """The mount's side; for one thread only. `counted` is told each result: bytes, seconds."""

    def __init__(
        self,
        shared: mmap.mmap,
        pid: int,
        commands: int,
        results: int,
        counted: Callable[[int, float], None],
    ) -> None:
        self.memory = memoryview(shared)
        # Advice only: no need for it to be seen in time.
        self.passed, self.claims = self.memory[:8].cast("Q"), self.memory[8 : 8 + CLAIMS]
        self.pid = pid
        self.commands = commands
        self.results = results
        self.counted = counted
        self.is_alive = True
        self.slots: dict[Block, Slot] = {}
        self.regions: list[list[Slot]] = [[] for _ in range(REGIONS)]
        self.waiting: deque[Slot] = deque()  # sent, no result yet
        self.batches = 0
        self.numbers = 0
        self.sent_bytes = 0
        self.ahead_bytes = 0  # sent beyond what was asked for last
        self.reached = 0  # the number of what was taken last

    def has_room(self) -> bool:
        """Whether another batch may be sent: what is in its place was decoded, and passed."""
        region = self.regions[self.batches % REGIONS]
        if region and region[-1].number >= self.reached:
            return False
        if self.is_pending(region):
            self.collect(0)
        return self.is_alive and not self.is_pending(region)

    def is_pending(self, region: list[Slot]) -> bool:
        """Whether results of a region are still to come."""
        return bool(region and self.waiting) and self.waiting[0].number <= region[-1].number

    def skip(self) -> None:
        """Take it that nothing of what was sent is needed any more."""
        self.reached = self.passed[0] = self.numbers + 1
        self.ahead_bytes = 0

    def send(self, batch: Mapping[Block, int]) -> None:
        """Have blocks of these plain sizes decoded; at most `MAX_JOBS`, of `REGION_BYTES`."""
        index = self.batches % REGIONS
        for slot in self.regions[index]:
            if self.slots.get(slot.block) is slot:
                del self.slots[slot.block]
        slots: list[Slot] = []
        start = HEAD_BYTES + index * REGION_BYTES
        for block, size in batch.items():
            self.numbers += 1
            self.claims[self.numbers % CLAIMS] = 0
            self.sent_bytes += size
            self.ahead_bytes += size
            slot = Slot(self.numbers, block, start, size, self.sent_bytes)
            self.slots[block] = slot
            slots.append(slot)
            start += size
        self.regions[index] = slots
        self.waiting.extend(slots)
        self.batches += 1
        data = marshal.dumps([(s.number, s.start, s.size, *s.block) for s in slots])
        try:
            os.write(self.commands, LENGTH.pack(len(data)) + data)
        except OSError:
            self.give_up()

    def reach(self, first: Slot, last: Slot) -> None:
        """Note that these and what is between them are asked for now."""
        self.passed[0] = max(self.passed[0], first.number)
        self.ahead_bytes = self.sent_bytes - last.end

    def take(self, block: Block, size: int) -> memoryview | None:
        """Return a chunk that was decoded ahead, or None: then the caller decodes it, nobody else.
        It stays as it is until `send`."""
        slot = self.slots.get(block)
        if slot is None or slot.size != size:
            return None
        self.reached = max(self.reached, slot.number)
        if self.waiting and self.waiting[0].number <= slot.number:
            self.collect(0)
        if self.waiting and self.waiting[0] is slot:  # it is at this one just now
            self.collect(WAIT_S)
        if not slot.is_good:
            self.claims[slot.number % CLAIMS] = 1
            return None
        return self.memory[slot.start : slot.start + size]

    def claim_next(self, block: Block) -> Slot | None:
        """Return what the caller may decode while it waits for `block`, if that will take longer
        than to look what else there is."""
        if len(self.waiting) < 2 or self.waiting[0].size < LONG_BYTES:
            return None
        if self.waiting[0] is not self.slots.get(block):
            return None
        slot = self.waiting[1]
        self.claims[slot.number % CLAIMS] = 1
        return slot

    def collect(self, wait_s: float) -> None:
        """Read the results that are there, or wait for one."""
        if not select.select([self.results], [], [], wait_s)[0]:
            return
        data = os.read(self.results, RESULT.size * REGIONS * MAX_JOBS)
        if not data:
            self.give_up()
            return
        for size, seconds in RESULT.iter_unpack(data):
            self.waiting.popleft().is_good = size >= 0
            if size >= 0:
                self.counted(size, seconds)

    def give_up(self) -> None:
        """Go on without the process."""
        self.is_alive = False
        self.slots.clear()
        self.waiting.clear()

    def close(self) -> None:
        """End the process."""
        os.close(self.commands)
        os.close(self.results)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@contextlib.contextmanager
def start_decoder(load: Load, counted: Callable[[int, float], None]) -> Iterator[Decoder]:
    """Run a decoder for the block; `load` returns a block's bytes, their id checked, or None.

    No other thread may run yet.
    """
    shared = mmap.mmap(-1, HEAD_BYTES + REGIONS * REGION_BYTES)
    orders, commands = os.pipe()
    results, answers = os.pipe()
    child = os.fork()
    if child == 0:
        run(load, memoryview(shared), orders, answers, (commands, results))
    os.close(orders)
    os.close(answers)
    decoder = Decoder(shared, child, commands, results, counted)
    try:
        yield decoder
    finally:
        decoder.close()


def run(
    load: Load, memory: memoryview, orders: int, answers: int, others: tuple[int, int]
) -> NoReturn:
    """Decode until there are no more orders; never returns. `others` are the mount's pipe ends."""
    try:
        for handle in others:
            os.close(handle)
        gc.disable()  # nothing here goes round in circles, and a look at everything copies it
        keep_buffers()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        passed, claims = memory[:8].cast("Q"), memory[8 : 8 + CLAIMS]
        with open(orders, "rb") as stream:
            while head := stream.read(LENGTH.size):
                for number, start, size, *names in marshal.loads(  # noqa: S302 our own
                    stream.read(*LENGTH.unpack(head))
                ):
                    began = time.monotonic()
                    done = SKIPPED
                    if number >= passed[0] and not claims[number % CLAIMS]:
                        done = decode_one(load, Block(*names), memory[start : start + size])
                    os.write(answers, RESULT.pack(done, time.monotonic() - began))
    except OSError:
        pass  # nobody is there any more
    finally:
        os._exit(0)


def decode_one(load: Load, block: Block, target: memoryview) -> int:
    """Fill `target` with the plain bytes of a block; return how many it had packed."""
    try:
        data = load(block)
        if data is None:
            return FAILED
        decode_into(block, data, target)
    except Exception:  # whatever it is, it is told to whoever really reads the block
        return FAILED
    return len(data)
