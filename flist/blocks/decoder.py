"""Decodes blocks ahead in a second process, into memory that it shares with the mount.

The mount sends batches of the chunks that will probably be read next. They are decoded in order,
each into a place that the mount chose; see `flist.blocks.decoder_process`. Nothing depends on that
process: the mount decodes itself what the process has not decoded, or could not, and goes on alone
when it is gone. It ends with the mount, however that ends, because its pipe does.
"""

import contextlib
import marshal
import mmap
import os
import select
import signal
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from flist.blocks.decoder_process import (
    CLAIMS,
    HEAD_BYTES,
    LENGTH,
    RESULT,
    Load,
    run,
    split_head,
)
from flist.model import CHUNK_BYTES, Block

REGIONS = 4
REGION_BYTES = 4 * CHUNK_BYTES
MAX_JOBS = 128
"""In a batch, so that the batches of all regions fit into the pipe."""
WAIT_S = 0.05
LONG_BYTES = 128 * 1024
"""A chunk this large takes longer to decode than it takes to look for other work."""


class Slot:
    """A chunk in a batch: `number` counts chunks since the start, `end` their bytes."""

    __slots__ = ("block", "end", "is_good", "number", "size", "start")

    def __init__(self, number: int, block: Block, start: int, size: int, end: int) -> None:
        self.number = number
        self.block = block
        self.start = start
        self.size = size
        self.end = end
        self.is_good = False


class Decoder:
    """The mount's side; for one thread only. Each result calls `counted` with encrypted bytes and
    seconds."""

    def __init__(
        self,
        shared: mmap.mmap,
        pid: int,
        commands: int,
        results: int,
        counted: Callable[[int, float], None],
    ) -> None:
        self.memory = memoryview(shared)
        self.needed, self.claims = split_head(self.memory)
        self.pid = pid
        self.commands = commands
        self.results = results
        self.counted = counted
        self.is_alive = True
        self.slots: dict[Block, Slot] = {}
        self.regions: list[list[Slot]] = [[] for _ in range(REGIONS)]
        self.waiting: deque[Slot] = deque()  # sent, without a result yet
        self.batches = 0
        self.numbers = 0
        self.sent_bytes = 0
        self.ahead_bytes = 0  # sent beyond the last read
        self.reached = 0  # the number of the chunk that was taken last

    def has_room(self) -> bool:
        """Return whether another batch may be sent: its region holds nothing that is needed."""
        region = self.regions[self.batches % REGIONS]
        if region and region[-1].number >= self.reached:
            return False
        if self.is_pending(region):
            self.collect(0)
        return self.is_alive and not self.is_pending(region)

    def is_pending(self, region: list[Slot]) -> bool:
        """Return whether a region lacks results."""
        return bool(region and self.waiting) and self.waiting[0].number <= region[-1].number

    def skip(self) -> None:
        """Give up everything that was sent so far."""
        self.reached = self.needed[0] = self.numbers + 1
        self.ahead_bytes = 0

    def send(self, batch: Mapping[Block, int]) -> None:
        """Send blocks with their plain sizes: at most `MAX_JOBS`, and `REGION_BYTES` in all."""
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
        """Note that a read needs these chunks and those between them now."""
        self.needed[0] = max(self.needed[0], first.number)
        self.ahead_bytes = self.sent_bytes - last.end

    def take(self, block: Block, size: int) -> memoryview | None:
        """Return a chunk that was decoded ahead, valid until `send`, or None: then the caller
        decodes it and the process does not."""
        slot = self.slots.get(block)
        if slot is None or slot.size != size:
            return None
        self.reached = max(self.reached, slot.number)
        if self.waiting and self.waiting[0].number <= slot.number:
            self.collect(0)
        if self.waiting and self.waiting[0] is slot:  # the process decodes this chunk now
            self.collect(WAIT_S)
        if not slot.is_good:
            self.claims[slot.number % CLAIMS] = 1
            return None
        return self.memory[slot.start : slot.start + size]

    def claim_next(self, block: Block) -> Slot | None:
        """Return the next chunk for the caller to decode while the process decodes `block`, or None
        if `block` takes too little time for that."""
        if len(self.waiting) < 2 or self.waiting[0].size < LONG_BYTES:
            return None
        if self.waiting[0] is not self.slots.get(block):
            return None
        slot = self.waiting[1]
        self.claims[slot.number % CLAIMS] = 1
        return slot

    def collect(self, wait_s: float) -> None:
        """Read results, and wait up to `wait_s` for the first one."""
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
    """Run a decoder for the block; `counted` is that of `Decoder`. Forks: no other thread may run
    yet."""
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
