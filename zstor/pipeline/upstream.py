"""Files in upstream's format: one stream of bytes, cut into k shards as a whole.

Upstream holds all of it in memory; here the encrypted stream and the shards are in temporary files,
and the parity is computed strip by strip.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import IO

from common.files import open_atomic
from zstor.backends.zdb import MAX_VALUE
from zstor.codec.checksum import SHORT, start_checksum
from zstor.codec.cipher import MAX_STREAM, seal_stream, unseal_stream
from zstor.codec.compression import frame, unframe
from zstor.codec.erasure import check_enough, pad, padding, recover
from zstor.codec.galois import parity_rows
from zstor.codec.kernel import combine
from zstor.config import PIECE
from zstor.errors import BackendError, DamagedError, NotStoredError, ZstorError
from zstor.format.upstream import Shard, UpstreamFile, decode_file, encode_file
from zstor.model import Backend, Shape
from zstor.pipeline.placing import Places
from zstor.pipeline.source import Source, Watch, ignore
from zstor.pipeline.vault import Vault
from zstor.pipeline.written import Written

STRIP = 128 << 10
Spool = IO[bytes]


def find(vault: Vault, name: str) -> UpstreamFile | None:
    """Return what is stored under a name in upstream's format."""
    metastore = vault.upstream()
    data = metastore.read(metastore.file_key(name))
    return None if data is None else decode_file(data)


def store(vault: Vault, source: Source, name: str, *, is_last: bool = False) -> UpstreamFile:
    """Store an open file under a name, and remove what it replaces.

    If it `is_last`, it is stored also when the same is stored already.
    """
    metastore = vault.upstream()
    metastore.check_writable()
    checksum = source.checksum(SHORT)
    old = find(vault, name)
    if not is_last and old is not None and old.checksum == checksum:
        return old
    with tempfile.TemporaryFile() as spool:
        length = _fill(spool, source, metastore.key, vault.config.minimal_shards)
        shards = send_shards(vault, spool, length)
    file = UpstreamFile(vault.config.shape, checksum, metastore.key, tuple(shards))
    metastore.write(metastore.file_key(name), encode_file(file))
    if old is not None:
        remove_shards(vault, old.shards)
    return file


def _fill(spool: Spool, source: Source, key: bytes, k: int) -> int:
    """Write the compressed, encrypted and padded stream; return the length of a shard."""
    size = 0
    for part in seal_stream(key, frame(source.parts())):
        size += spool.write(part)
        if size > MAX_STREAM:
            raise ZstorError(f"cannot store {source.path}: upstream's format ends at 64 GiB")
    size += spool.write(pad(b"\0" * (size % k), k)[size % k :])
    spool.flush()
    return size // k


def send_shards(vault: Vault, spool: Spool, length: int) -> list[Shard]:
    """Store all shards of the stream in `spool`; if that fails, remove them again."""
    places = Places(vault, length)
    written = Written(vault.servers)
    done: dict[int, Shard] = {}
    try:
        while left := [n for n in range(vault.config.shape.total) if n not in done]:
            sent = {n: places.chosen[n] for n in left}
            calls = [partial(send_shard, vault, written, spool, length, n, sent[n]) for n in left]
            for number, end in zip(left, vault.pool.run(calls), strict=True):
                if isinstance(end, Shard):
                    done[number] = end
                else:
                    places.replace(number, sent[number], end.message)
    except BaseException:
        written.undo()
        raise
    return [done[n] for n in sorted(done)]


def send_shard(
    vault: Vault, written: Written, spool: Spool, length: int, number: int, backend: Backend
) -> Shard:
    """Store one shard in pieces at one backend; if that fails, remove what was stored."""
    checksum = start_checksum()
    keys: list[bytes] = []
    try:
        for start in range(0, length, PIECE):
            piece = make_piece(spool, length, vault.config.shape, number, start)
            checksum.update(piece)
            keys.append(written.add(backend, piece))
    except BackendError:
        remove_shards(vault, (Shard(number, b"", tuple(keys), backend),))
        raise
    return Shard(number, checksum.digest(), tuple(keys), backend)


def make_piece(spool: Spool, length: int, shape: Shape, number: int, start: int) -> bytes:
    """Return a piece of a shard; of parity it is computed strip by strip."""
    end = min(start + PIECE, length)
    if number < shape.k:
        return _read(spool, number * length + start, end - start)
    row = parity_rows(*shape)[number - shape.k]
    parts = []
    for place in range(start, end, STRIP):
        count = min(STRIP, end - place)
        data = [_read(spool, n * length + place, count) for n in range(shape.k)]
        parts += combine([row], data)
    return b"".join(parts)


def _read(spool: Spool, offset: int, count: int) -> bytes:
    data = os.pread(spool.fileno(), count, offset)
    if len(data) != count:
        raise ZstorError("cannot use a temporary file: it was cut off")
    return data


def remove_shards(vault: Vault, shards: Sequence[Shard]) -> None:
    """Remove shards, as far as their backends answer."""
    calls = [
        partial(vault.servers.delete, shard.backend, key) for shard in shards for key in shard.keys
    ]
    for call in calls:
        try:
            call()
        except BackendError:
            continue


def retrieve(vault: Vault, name: str, target: Path, watch: Watch = ignore) -> UpstreamFile:
    """Write a stored file to `target`, verified."""
    file = find(vault, name)
    if file is None:
        raise NotStoredError(f"cannot read {name}: it is not stored")
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".zstor-") as folder,
        ExitStack() as stack,
    ):
        paths = fetch_shards(vault, file, Path(folder))
        spools = {n: stack.enter_context(path.open("rb")) for n, path in paths.items()}
        stream = stack.enter_context(open_atomic(target))
        for part in read_parts(file, spools, name):
            watch(stream.write(part))
    return file


def read_parts(file: UpstreamFile, spools: Mapping[int, Spool], name: str) -> Iterator[bytes]:
    """Yield a file's bytes; raise `DamagedError` at the end if they are not what was stored.

    The stream is decrypted twice: nothing of it is decompressed before its tag has been checked.
    """
    for _ in unseal_stream(file.key, join_shards(file.shape, spools)):
        continue
    checksum = start_checksum()
    for part in unframe(unseal_stream(file.key, join_shards(file.shape, spools))):
        checksum.update(part)
        yield part
    if checksum.digest() != file.checksum:
        raise DamagedError(f"cannot read {name}: its checksum is not that of what was stored")


def fetch_shards(vault: Vault, file: UpstreamFile, folder: Path) -> dict[int, Path]:
    """Return k shards in temporary files, the data shards first."""
    k, m = file.shape
    left = sorted(file.shards)
    paths: dict[int, Path] = {}
    faults: list[str] = []
    while len(paths) < k and left:
        now, left = left[: k - len(paths)], left[k - len(paths) :]
        for shard, end in zip(now, vault.pool.run(_fetches(vault, now, folder)), strict=True):
            if isinstance(end, BackendError):
                faults.append(end.message)
            else:
                paths[shard.number] = end
    try:
        check_enough(paths, k, m)
    except ZstorError as error:
        for fault in faults:
            error.add_note(fault)
        raise
    return paths


def _fetches(vault: Vault, shards: Sequence[Shard], folder: Path) -> Sequence[Callable[[], Path]]:
    return [partial(fetch_shard, vault, shard, folder / str(shard.number)) for shard in shards]


def fetch_shard(vault: Vault, shard: Shard, path: Path) -> Path:
    """Write a shard to `path`; raise `BackendError` if it is not there, or not what it was."""
    checksum = start_checksum()
    with path.open("wb") as spool:
        for key in shard.keys:
            piece = vault.servers.get(shard.backend, key, MAX_VALUE)
            if piece is None:
                raise BackendError(f"shard {shard.number} is not at {shard.backend.place}")
            checksum.update(piece)
            spool.write(piece)
    if checksum.digest() != shard.checksum:
        raise BackendError(f"shard {shard.number} at {shard.backend.place} is damaged")
    return path


def join_shards(shape: Shape, spools: Mapping[int, Spool]) -> Iterator[bytes]:
    """Yield the stream that was cut into shards, without its padding."""
    lengths = {os.fstat(spool.fileno()).st_size for spool in spools.values()}
    length = lengths.pop()
    if lengths or not length:
        raise DamagedError("cannot join the shards: their lengths differ")
    last = _strip(shape, spools, shape.k - 1, length - 1, 1)
    left = shape.k * length - padding(last, shape.k)
    for number in range(shape.k):
        for start in range(0, length, STRIP):
            strip = _strip(shape, spools, number, start, min(STRIP, length - start))
            yield strip[:left]
            left -= len(strip[:left])


def _strip(shape: Shape, spools: Mapping[int, Spool], number: int, start: int, count: int) -> bytes:
    """Return bytes of a data shard: read, or computed of the others."""
    if number in spools:
        return _read(spools[number], start, count)
    data = {n: _read(spool, start, count) for n, spool in spools.items()}
    return recover(data, *shape, [number])[0]


def delete(vault: Vault, name: str) -> bool:
    """Delete what is stored under a name; return whether there was anything."""
    metastore = vault.upstream()
    file = find(vault, name)
    if file is None:
        return False
    metastore.remove(metastore.file_key(name))
    remove_shards(vault, file.shards)
    return True
