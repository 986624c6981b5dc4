"""A series of changes that comes out the same each time, and what a dict is after each of them."""

import random
from collections.abc import Iterator

from zdb.storage.namespace import Namespace

KEYS = 50


class Script:
    """Changes to a namespace, the same for the same seed."""

    def __init__(self, mode: str, seed: int) -> None:
        self.mode = mode
        self.chance = random.Random(seed)
        self.state: dict[bytes, bytes] = {}
        self.slots = 0  # numbers that mode seq has used

    def step(self) -> tuple[bytes, bytes | None]:
        """Return the next change: a key and its value, or None to delete it."""
        chance = self.chance
        if self.mode == "user":
            key = b"key-%d" % chance.randrange(KEYS)
        else:
            key = chance.choice(list(self.state)) if self.state and chance.random() < 0.6 else b""
        if key in self.state and chance.random() < 0.2:
            del self.state[key]
            return key, None
        size = chance.randrange(200) if chance.random() < 0.95 else chance.randrange(20_000)
        value = chance.randbytes(size + 8)  # never the value that is there
        self.slots += 1
        self.state[key or (self.slots - 1).to_bytes(8, "little")] = value
        return key, value

    def states(self, count: int) -> Iterator[dict[bytes, bytes]]:
        """Yield the state now, and after each of the next `count` changes."""
        yield dict(self.state)
        for _ in range(count):
            self.step()
            yield dict(self.state)


def apply(namespace: Namespace, change: tuple[bytes, bytes | None]) -> None:
    """Make a change."""
    key, value = change
    if value is None:
        assert namespace.delete(key)
    else:
        assert namespace.set(key, value) is not None


def content(namespace: Namespace, keys: Iterator[bytes]) -> dict[bytes, bytes]:
    """Return what a namespace has of some keys; it must have no others."""
    found = {key: namespace.get(key) for key in keys}
    there = {key: value for key, value in found.items() if value is not None}
    assert namespace.entries == len(there)
    assert namespace.data_bytes == sum(map(len, there.values()))
    return there
