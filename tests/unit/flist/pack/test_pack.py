"""How pack divides files into pieces and batches, and puts the results together."""

from flist.blocks.parts import LARGE_BYTES, rows_of_large_files
from flist.model import CHUNK_BYTES, Inode
from flist.pack.known_files import BLOCK_BYTES, split_blocks
from flist.pack.pieces import BATCH_BYTES, SEGMENT_BYTES, make_batches, make_pieces
from flist.pack.results import Results
from flist.pack.scan import FileJob, Scan

STAMP = (1, 2, 3, 4, 5)


def pair(number: int) -> bytes:
    return number.to_bytes(BLOCK_BYTES // 2, "big") * 2


def make_scan(inodes: list[Inode], jobs: list[FileJob]) -> Scan:
    return Scan(inodes, {}, jobs, set(), [])


def test_known_blocks_go_with_their_segment() -> None:
    size = 2 * SEGMENT_BYTES + 1
    count = 2 * SEGMENT_BYTES // CHUNK_BYTES + 1
    joined = b"".join(map(pair, range(count)))
    pieces = make_pieces([FileJob(2, b"/f", size, STAMP)], {b"/f": (STAMP, joined)})
    inos, paths, starts, lengths, known, are_large = zip(*pieces, strict=True)
    assert set(inos) == {2} and set(paths) == {b"/f"}
    assert starts == (0, SEGMENT_BYTES, 2 * SEGMENT_BYTES)
    assert lengths == (SEGMENT_BYTES, SEGMENT_BYTES, 1)
    assert b"".join(known) == joined
    assert len(known[-1]) == BLOCK_BYTES
    assert set(are_large) == {False}


def test_blocks_that_do_not_fit_the_file_are_not_known() -> None:
    job = FileJob(2, b"/f", CHUNK_BYTES + 1, STAMP)
    for memory in ({b"/f": (STAMP, pair(1))}, {b"/f": ((9, *STAMP[1:]), pair(1) + pair(2))}, {}):
        assert [piece[4] for piece in make_pieces([job], memory)] == [b""]


def test_batches_are_even_also_when_every_block_is_known() -> None:
    """The stores may have lost the blocks; then one batch must not hold everything."""
    jobs = [FileJob(ino, b"/%d" % ino, BATCH_BYTES // 4, STAMP) for ino in range(2, 102)]
    memory = {job.path: (STAMP, pair(1) * (BATCH_BYTES // 4 // CHUNK_BYTES)) for job in jobs}
    batches = list(make_batches(make_pieces(jobs, memory)))
    assert all(piece[4] for batch in batches for piece in batch)
    assert {len(batch) for batch in batches} == {4}


def test_a_file_that_became_shorter() -> None:
    inode = Inode(1, 0, b"f", 3 * SEGMENT_BYTES, 0, 0, 0o100644, 0, 0, 0)
    second = inode._replace(ino=2, same_as=1)
    scan = make_scan([inode, second], [FileJob(1, b"/f", inode.size, STAMP)])
    results = Results()
    results.add([(1, 2 * SEGMENT_BYTES, 5, pair(3), {}, False)])
    results.add(
        [(1, SEGMENT_BYTES, 7, pair(2), {}, False), (1, 0, SEGMENT_BYTES, pair(1), {}, True)]
    )
    inodes = results.settle(scan)
    assert [inode.size for inode in inodes] == [SEGMENT_BYTES + 7] * 2
    assert results.joined == {1: pair(1) + pair(2)}
    assert results.blocks[1] == results.blocks[2] == split_blocks(pair(1) + pair(2))
    assert (results.done, results.read) == (SEGMENT_BYTES + 12, 12)
    assert results.known_files(scan, 10**18) == {}


def test_a_file_whose_first_segment_became_shorter() -> None:
    inode = Inode(1, 0, b"f", 2 * SEGMENT_BYTES, 0, 0, 0o100644, 0, 0, 0)
    results = Results()
    results.add(
        [(1, 0, 3, pair(1), {}, False), (1, SEGMENT_BYTES, SEGMENT_BYTES, pair(2), {}, False)]
    )
    scan = make_scan([inode], [FileJob(1, b"/f", inode.size, STAMP)])
    assert results.settle(scan)[0].size == 3
    assert results.joined == {1: pair(1)}


def test_only_files_that_did_not_change_are_known() -> None:
    now_ns = 10**18
    jobs = [
        FileJob(1, b"/old", 5, STAMP),
        FileJob(2, b"/young", 5, (1, 2, 5, 0, now_ns)),
        FileJob(3, b"/grown", 4, STAMP),
        FileJob(4, b"/gone", 5, STAMP),
    ]
    results = Results()
    results.add([(ino, 0, 5, pair(ino), {}, False) for ino in (1, 2, 3)])
    assert results.known_files(make_scan([], jobs), now_ns) == {b"/old": (STAMP, pair(1))}


def test_only_large_files_have_rows_of_parts() -> None:
    """Rows that another file with the same content had the last time are left out."""
    count = LARGE_BYTES // SEGMENT_BYTES
    results = Results()
    for ino, pieces in ((1, count), (2, count + 1)):
        for number in range(pieces):
            blocks = b"".join(pair(ino * 1000 + number * 4 + chunk) for chunk in range(4))
            rows = {blocks[:32]: b"new"} if number == count else {}
            start = number * SEGMENT_BYTES
            results.add([(ino, start, SEGMENT_BYTES, blocks, rows, not rows)])
    inodes = [Inode(ino, 0, b"f", SEGMENT_BYTES * size, 0, 0, 0o100644, 0, 0, 0)
              for ino, size in ((1, count), (2, count + 1))]  # fmt: skip
    jobs = [FileJob(i.ino, b"/%d" % i.ino, i.size, STAMP) for i in inodes]
    found = results.settle(make_scan(inodes, jobs))
    known = {block.id: b"old" for blocks in results.blocks.values() for block in blocks}
    rows = rows_of_large_files(found, results.blocks, known | results.rows)
    assert rows.keys() == {block.id for block in results.blocks[2]}
    assert sorted(rows.values()).count(b"new") == 1
