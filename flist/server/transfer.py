"""Uploads, downloads and copies whole files, or all blocks, between this machine and servers."""

from pathlib import Path

from common.files import open_atomic, open_regular
from flist.errors import BlockError, FlistError, StoreError
from flist.server.client import ServerClient
from flist.server.names import DEFAULT_BLOCK_BYTES, name_block, name_file, split_file


def name_blocks(path: Path, block_bytes: int) -> list[str]:
    """Return the names of the blocks of the file at `path`."""
    try:
        with open_regular(path) as stream:
            return [name_block(block) for block in split_file(stream, block_bytes)]
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error


def upload(client: ServerClient, path: Path, block_bytes: int = DEFAULT_BLOCK_BYTES) -> str:
    """Upload a file and return its name.

    Blocks that the server has are sent, too: that is how it learns that they belong to the file.
    """
    file_hash = name_file(name_blocks(path, block_bytes))
    with path.open("rb") as stream:
        for index, block in enumerate(split_file(stream, block_bytes)):
            client.put_block(block, file_hash, index)
    return file_hash


def download(client: ServerClient, file_hash: str, output: Path) -> int:
    """Write an uploaded file to `output`, whole or not at all; return its size in bytes."""
    names = client.blocks_of(file_hash)
    if not names and file_hash != name_file([]):  # an empty file has no blocks
        raise StoreError(f"cannot download {file_hash}: {client.url} does not have it")
    if name_file(names) != file_hash and names != [file_hash]:
        raise BlockError(f"cannot download {file_hash}: the server names other blocks")
    size = 0
    with open_atomic(output) as stream:
        for name in names:
            size += stream.write(client.get_block(name))
    return size


def sync(source: ServerClient, target: ServerClient, file_hash: str | None) -> int:
    """Copy a file's blocks, or all, to another server; return how many blocks it did not have."""
    if file_hash is None:
        return sync_all(source, target)
    names = source.blocks_of(file_hash)
    if not names:
        raise StoreError(f"cannot sync {file_hash}: {source.url} does not have it")
    missing = target.missing(names)
    for index, name in enumerate(names):
        target.put_block(source.get_block(name), file_hash, index)
    return len(missing)


def sync_all(source: ServerClient, target: ServerClient) -> int:
    """Copy all blocks that `target` does not have; return how many."""
    names = list(source.all_blocks())
    missing = target.missing(names)
    for name in names:
        if name in missing:
            target.put_block(source.get_block(name), name, 0)
    return len(missing)
