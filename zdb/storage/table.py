"""Where the keys of a namespace are: a hash table of arrays, 16 bytes a slot.

A slot has 32 bits of the key's hash, the place of the record (data file and offset) and the offset
of its index entry. The keys themselves stay on the disk: a caller compares the key of each
candidate.

It grows by extendible hashing: a directory of segments, of which one at a time doubles or is
split, so that no insertion has to move more than `MAX_SLOTS` slots.
"""

from array import array

MAX_SLOTS = 1 << 13
FIRST_SLOTS = 8
MAX_LOAD = 0.75
FREE = 0
GONE = 1
SPREAD_BITS = 19  # the bits below choose the segment, those above the slot
ALL_ONES = 0xFFFFFFFF


def tag_of(key: bytes) -> int:
    """Return 32 bits of a key's hash, which is Python's: keyed, so that no client can aim at it."""
    tag = hash(key) & ALL_ONES
    return tag if tag > GONE else tag + 2


class Segment:
    """A part of the table with open addressing."""

    __slots__ = ("depth", "marks", "mask", "places", "tags", "taken")

    def __init__(self, slots: int, depth: int) -> None:
        self.tags = array("I", bytes(4 * slots))
        self.places = array("Q", bytes(8 * slots))
        self.marks = array("I", bytes(4 * slots))
        self.mask = slots - 1
        self.depth = depth
        self.taken = 0  # slots that are not FREE

    def add(self, tag: int, place: int, mark: int) -> None:
        """Put an entry into a free slot."""
        tags, mask = self.tags, self.mask
        slot = (tag >> SPREAD_BITS) & mask
        while tags[slot] > GONE:
            slot = (slot + 1) & mask
        if tags[slot] == FREE:
            self.taken += 1
        tags[slot] = tag
        self.places[slot] = place
        self.marks[slot] = mark

    def find(self, tag: int, place: int) -> int:
        """Return the slot of an entry, which must be there."""
        tags, places, mask = self.tags, self.places, self.mask
        slot = (tag >> SPREAD_BITS) & mask
        while tags[slot] != tag or places[slot] != place:
            if tags[slot] == FREE:
                raise KeyError(place)
            slot = (slot + 1) & mask
        return slot

    def copy_to(self, *targets: "Segment") -> None:
        """Add all entries to one target, or to two by the bit that this segment does not use."""
        bit, last = self.depth, len(targets) - 1
        for tag, place, mark in zip(self.tags, self.places, self.marks, strict=True):
            if tag > GONE:
                targets[(tag >> bit) & last].add(tag, place, mark)


class Table:
    """All keys of a namespace."""

    def __init__(self) -> None:
        self._depth = 0
        self._segments = [Segment(FIRST_SLOTS, 0)]
        self.count = 0

    def candidates(self, tag: int) -> list[tuple[int, int]]:
        """Return place and mark of the entries with this tag: nearly always none or one."""
        segment = self._segments[tag & ((1 << self._depth) - 1)]
        tags, mask = segment.tags, segment.mask
        slot = (tag >> SPREAD_BITS) & mask
        found = []
        while (seen := tags[slot]) != FREE:
            if seen == tag:
                found.append((segment.places[slot], segment.marks[slot]))
            slot = (slot + 1) & mask
        return found

    def add(self, tag: int, place: int, mark: int) -> None:
        """Add an entry."""
        segment = self._segments[tag & ((1 << self._depth) - 1)]
        if segment.taken >= MAX_LOAD * segment.mask:
            segment = self._grow(segment, tag)
        tags, mask = segment.tags, segment.mask  # as Segment.add: this is on the way of each SET
        slot = (tag >> SPREAD_BITS) & mask
        while tags[slot] > GONE:
            slot = (slot + 1) & mask
        if tags[slot] == FREE:
            segment.taken += 1
        tags[slot] = tag
        segment.places[slot] = place
        segment.marks[slot] = mark
        self.count += 1

    def add_unless(self, tag: int, place: int, mark: int) -> bool:
        """Add an entry, unless there may be one with its key; return whether it was added."""
        segment = self._segments[tag & ((1 << self._depth) - 1)]
        if segment.taken >= MAX_LOAD * segment.mask:
            segment = self._grow(segment, tag)
        tags, mask = segment.tags, segment.mask
        slot = (tag >> SPREAD_BITS) & mask
        while (seen := tags[slot]) != FREE:
            if seen == tag:
                return False
            slot = (slot + 1) & mask
        tags[slot] = tag
        segment.places[slot] = place
        segment.marks[slot] = mark
        segment.taken += 1
        self.count += 1
        return True

    def replace(self, tag: int, place: int, new_place: int, new_mark: int) -> None:
        """Put another place and mark in an entry's slot."""
        segment = self._segments[tag & ((1 << self._depth) - 1)]
        slot = segment.find(tag, place)
        segment.places[slot] = new_place
        segment.marks[slot] = new_mark

    def remove(self, tag: int, place: int) -> None:
        """Remove an entry."""
        segment = self._segments[tag & ((1 << self._depth) - 1)]
        segment.tags[segment.find(tag, place)] = GONE
        self.count -= 1

    def memory(self) -> int:
        """Return how many bytes the table takes, about."""
        slots = sum(segment.mask + 1 for segment in set(self._segments))
        return 16 * slots + 8 * len(self._segments)

    def _grow(self, segment: Segment, tag: int) -> Segment:
        """Make room in a segment; return the segment that `tag` belongs to then."""
        live = sum(1 for seen in segment.tags if seen > GONE)
        slots = segment.mask + 1
        if live < slots // 2 or (slots < MAX_SLOTS or segment.depth >= SPREAD_BITS):
            fresh = Segment(slots if live < slots // 2 else 2 * slots, segment.depth)
            segment.copy_to(fresh)
            self._put(fresh, tag)
            return fresh
        halves = Segment(slots, segment.depth + 1), Segment(slots, segment.depth + 1)
        segment.copy_to(*halves)
        if segment.depth == self._depth:
            self._segments += self._segments
            self._depth += 1
        self._put(halves[0], tag & ~(1 << segment.depth))
        self._put(halves[1], tag | 1 << segment.depth)
        return halves[(tag >> segment.depth) & 1]

    def _put(self, segment: Segment, tag: int) -> None:
        step = 1 << segment.depth
        for at in range(tag & (step - 1), len(self._segments), step):
            self._segments[at] = segment
