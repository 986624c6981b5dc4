"""The metrics of all workers, in memory that they share; whichever is asked shows their sums.

Each worker writes what it has into a slot of its own, about once a second. A slot outlives its
worker: the next one in it goes on from the counters, so that no sum ever becomes smaller.
"""

import json
import mmap
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

SLOT_BYTES = 4 << 20  # taken from the system as far as it is written to
HEAD = struct.Struct("<II")  # the length of what follows, and its CRC-32
TRIES = 100
GAUGE = "gauge"


class Family(NamedTuple):
    """One metric: its samples are name, labels and value."""

    name: str
    text: str
    kind: str
    samples: list[tuple[str, dict[str, str], float]]


def collect(registry: CollectorRegistry) -> list[Family]:
    """Return what a registry holds."""
    return [
        Family(m.name, m.documentation, m.type, [(s.name, s.labels, s.value) for s in m.samples])
        for m in registry.collect()
    ]


def add_up(tables: Iterable[Sequence[Family]]) -> list[Family]:
    """Return the sums of samples that have the same name and labels."""
    families: dict[str, Family] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for table in tables:
        for family in table:
            families.setdefault(family.name, family)
            known = sums.setdefault(family.name, {})
            for name, labels, value in family.samples:
                key = (name, tuple(labels.items()))
                known[key] = known.get(key, 0.0) + value
    return [
        family._replace(samples=[(n, dict(pairs), v) for (n, pairs), v in sums[name].items()])
        for name, family in families.items()
    ]


class Slots:
    """The slots of `count` workers; it is made before they are forked."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.memory = mmap.mmap(-1, count * SLOT_BYTES)

    def write(self, number: int, families: Sequence[Family]) -> bool:
        """Replace what a slot holds; return False, and keep it, if that does not fit."""
        data = json.dumps(families, separators=(",", ":")).encode()
        if HEAD.size + len(data) > SLOT_BYTES:
            return False
        at = number * SLOT_BYTES
        self.memory[at : at + HEAD.size + len(data)] = HEAD.pack(len(data), zlib.crc32(data)) + data
        return True

    def read(self, number: int) -> list[Family]:
        """Return what a slot holds: nothing at first, or if its worker died while it wrote."""
        at = number * SLOT_BYTES
        for _ in range(TRIES):  # another process may be writing
            size, check = HEAD.unpack_from(self.memory, at)
            data = self.memory[at + HEAD.size : at + HEAD.size + min(size, SLOT_BYTES)]
            if data and zlib.crc32(data) == check:
                return [Family(*row) for row in json.loads(data)]
        return []

    def bury(self, number: int) -> None:
        """Keep only what a worker that has ended has counted."""
        self.write(number, [family for family in self.read(number) if family.kind != GAUGE])


class Share:
    """What one worker does with the slots."""

    def __init__(self, slots: Slots, number: int, registry: CollectorRegistry) -> None:
        self.slots = slots
        self.number = number
        self.registry = registry
        self.before = slots.read(number)

    def publish(self) -> None:
        """Write what this worker and those before it in its slot have counted."""
        self.slots.write(self.number, add_up([self.before, collect(self.registry)]))

    def total(self) -> CollectorRegistry:
        """Return the sums over all workers."""
        self.publish()
        registry = CollectorRegistry()
        registry.register(Sums(add_up(map(self.slots.read, range(self.slots.count)))))
        return registry


class Sums(Collector):
    """Gives sums to whoever collects them."""

    def __init__(self, families: Sequence[Family]) -> None:
        self.families = families

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        for family in self.families:
            metric = Metric(family.name, family.text, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, labels, value)
            yield metric
