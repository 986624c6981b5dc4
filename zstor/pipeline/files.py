"""Files by their paths, in either format: what the commands do.

A name has one format. A file that is stored in the other one replaces it.
"""

from pathlib import Path
from typing import Literal, NamedTuple

from zstor.errors import NotStoredError
from zstor.pipeline import storing, upstream
from zstor.pipeline.names import name_of
from zstor.pipeline.retrieving import retrieve
from zstor.pipeline.source import Source, Watch, ignore
from zstor.pipeline.vault import Vault

Format = Literal["zos", "upstream"]


class Stored(NamedTuple):
    """What a person is told about a stored file. Upstream's metadata has no size.

    `is_certain` is false if too few metadata stores answered: there may be a newer version.
    """

    name: str
    format: Format
    checksum: str
    size: int | None = None
    is_certain: bool = True


def store_path(
    vault: Vault,
    path: Path,
    *,
    key_path: Path | None = None,
    format: Format | None = None,  # noqa: A002
) -> Stored:
    """Store a file."""
    with Source(path) as source:
        return store_open(vault, source, key_path=key_path, format=format)


def store_open(
    vault: Vault,
    source: Source,
    *,
    key_path: Path | None = None,
    format: Format | None = None,  # noqa: A002
    is_last: bool = False,
) -> Stored:
    """Store an open file. If it `is_last`, the only copy, what is stored already is not trusted."""
    name = name_of(source.path, vault.config.root, key_path)
    if (format or vault.config.format) == "upstream":
        made = upstream.store(vault, source, name, is_last=is_last)
        storing.delete(vault, name)
        return Stored(name, "upstream", made.checksum.hex(), source.size)
    file = storing.store_source(vault, source, name, is_last=is_last)
    if vault.has_upstream():
        upstream.delete(vault, name)
    return Stored(name, "zos", file.checksum.hex(), file.size)


def find_path(vault: Vault, path: Path) -> Stored:
    """Return what is stored of a file; raise `NotStoredError` if nothing is."""
    name = name_of(path, vault.config.root)
    found = vault.find(name)
    if found.file is not None:
        file = found.file
        return Stored(name, "zos", file.checksum.hex(), file.size, found.is_certain)
    other = upstream.find(vault, name) if vault.has_upstream() else None
    if other is None:
        raise NotStoredError(f"cannot find {name}: it is not stored")
    return Stored(name, "upstream", other.checksum.hex())


def retrieve_stored(
    vault: Vault, stored: Stored, target: Path | None = None, watch: Watch = ignore
) -> None:
    """Write a stored file to `target`, else to where it was stored from.

    `watch` is told how many bytes are written.
    """
    goal = target or (vault.config.root or Path("/")) / stored.name
    if stored.format == "upstream":
        upstream.retrieve(vault, stored.name, goal, watch)
    else:
        retrieve(vault, stored.name, goal, watch)


def delete_path(vault: Vault, path: Path) -> None:
    """Delete what is stored of a file."""
    stored = find_path(vault, path)
    if stored.format == "upstream":
        upstream.delete(vault, stored.name)
    else:
        storing.delete(vault, stored.name)
