"""Packs a directory: workers read, encode and store files while the directory is still listed.

A worker holds one chunk at a time, so memory use does not depend on file sizes. The flist appears
only after its blocks are durable.
"""

import contextlib
import time
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from flist.blocks.codec import check_arrival
from flist.blocks.collector import without_collector
from flist.blocks.parts import rows_of_large_files
from flist.errors import FlistError
from flist.folders import Folders
from flist.format.tables import Tables
from flist.format.writer import Draft, check_output
from flist.http.urls import strip_passwords
from flist.model import Route
from flist.pack.choice import make_choice
from flist.pack.encoder import Encoder
from flist.pack.known_files import (
    NOTHING_KNOWN,
    KnownFiles,
    known_files_path,
    load_known_files,
    save_known_files,
)
from flist.pack.pieces import Piece, make_batches, make_pieces
from flist.pack.results import Results
from flist.pack.scan import Walk
from flist.pack.workers import run_jobs
from flist.store.routed import open_routes


class Summary(NamedTuple):
    """What a pack did. `left_out` says what is not in the flist although nobody excluded it."""

    inodes: int
    size_bytes: int
    blocks: int
    distinct: int
    read_bytes: int
    left_out: list[str]


@without_collector()
def pack(
    root: Path,
    meta: Path,
    routes: Sequence[Route],
    *,
    tags: Mapping[str, str] | None = None,
    keep_passwords: bool = False,
    is_checksum: bool = False,
    exclude: Sequence[str] = (),
    is_one_file_system: bool = False,
    processes: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Pack the directory `root` into the flist `meta`, its blocks into the stores of `routes`.

    Reads only files that have changed since the last pack of `root`; with `is_checksum` all, and
    the blocks that the stores have, which are replaced if they are damaged. Leaves out what matches
    one of the patterns `exclude` (`flist.pack.choice`). Calls `progress(done, total)` with numbers
    of bytes. Raises `FlistError` and `StoreError`.
    """
    open_routes(routes, check_arrival).close()  # a wrong URL fails before any work
    check_output(meta)
    choice = make_choice(meta, routes, exclude, is_one_file_system=is_one_file_system)
    now_ns = time.time_ns()
    notes = known_files_path(root)
    known = NOTHING_KNOWN if is_checksum else load_known_files(notes)
    with open_root(root) as folders, Draft() as draft:
        walk = Walk(folders, choice)

        def batches() -> Iterator[list[Piece]]:
            yield from make_batches(make_pieces(walk.run(), known.files))
            draft.begin(walk.found.inodes, walk.found.meta)  # while the workers are busy

        encoder = Encoder(routes, folders, is_checksum=is_checksum)
        results = encode_files(batches(), encoder, processes, progress)
        inodes = results.settle(walk.found)
        kept = routes if keep_passwords else strip_passwords(routes)
        rows = ChainMap(results.rows, dict(known.parts))
        parts = rows_of_large_files(inodes, results.blocks, rows)
        draft.write(meta, Tables(inodes, results.blocks, walk.found.meta, tags or {}, kept, parts))
        paths = {job.ino: job.path for job in walk.found.files}
        for ino in sorted(results.vanished):
            walk.note(paths[ino], "it vanished")
    save_known_files(notes, KnownFiles(results.known_files(walk.found, now_ns), parts))
    every = results.blocks.values()
    distinct = {block.id for blocks in every for block in blocks}
    size = sum(results.sizes.values())
    return Summary(
        len(inodes), size, sum(map(len, every)), len(distinct), results.read, walk.found.notes
    )


@contextlib.contextmanager
def open_root(root: Path) -> Iterator[Folders]:
    """Open the directory to pack for the block; raises `FlistError`."""
    folders = Folders(root)
    try:
        folders.__enter__()
    except NotADirectoryError as error:
        raise FlistError(f"cannot pack {root}: it is not a directory") from error
    except OSError as error:
        raise FlistError(f"cannot read {root}: {error.strerror}") from error
    with contextlib.closing(folders):
        yield folders


def encode_files(
    batches: Iterable[list[Piece]],
    encoder: Encoder,
    processes: int,
    progress: Callable[[int, int], None] | None,
) -> Results:
    """Encode and store all pieces."""
    results = Results()
    found = 0

    def counted() -> Iterator[list[Piece]]:
        nonlocal found
        for batch in batches:
            found += sum(piece[3] for piece in batch)
            yield batch

    for packed in run_jobs(counted(), encoder, processes):
        results.add(packed)
        if progress is not None:
            progress(results.done, found)
    return results
