"""Scrubs files: what state they are in, by the presence and the checksum of each shard."""

from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

from zstor.errors import DamagedError, LostError, ZstorError
from zstor.format.file import StoredFile
from zstor.pipeline.reading import all_chunks
from zstor.pipeline.vault import Vault
from zstor.repair.inspecting import Fault, Inspector

State = Literal["whole", "at risk", "lost", "unknown"]
MAX_TOLD = 100
"""Of how many faults of a file the text is kept."""


class Health(NamedTuple):
    """What a scrub found out about a file.

    `missing` is the largest number of shards that a chunk lacks; the code makes up for `parity`.
    """

    name: str
    state: State
    missing: int
    parity: int
    chunks: int
    shards: int
    faults: dict[str, int]
    told: list[str]


def scrub_file(inspector: Inspector, file: StoredFile) -> Health:
    """Look at all shards of a file."""
    worst = chunks = shards = 0
    counts: Counter[str] = Counter()
    told: dict[str, None] = {}
    is_lost = False
    try:
        for _, _, chunk in all_chunks(inspector.vault, file):
            found = inspector.inspect(file, chunk)
            chunks += 1
            shards += len(chunk.pieces)
            worst = max(worst, len(chunk.pieces) - len(found.shards))
            _note(counts, told, found.faults)
    except (LostError, DamagedError) as error:  # the list of its chunks
        is_lost = True
        told[error.message] = None
        worst = max(worst, len(getattr(error, "missing", ())))
    is_lost |= worst > file.shape.m
    state: State = "lost" if is_lost else "at risk" if counts else "whole"
    return Health(
        *(file.name, state, worst, file.shape.m, chunks, shards, dict(counts), list(told))
    )


def _note(counts: Counter[str], told: dict[str, None], faults: list[Fault]) -> None:
    counts.update(fault.reason for fault in faults)
    for fault in faults:
        if len(told) < MAX_TOLD:
            told[fault.text] = None


def scrub_key(inspector: Inspector, key: bytes) -> Health | None:
    """Look at the file with this metadata key; return None if it is deleted.

    A file that is replaced meanwhile loses its shards: then the new one is looked at.
    """
    try:
        found = inspector.vault.read_file(key)
        while found.file is not None:
            health = scrub_file(inspector, found.file)
            later = found if health.state == "whole" else inspector.vault.read_file(key)
            if later.version == found.version:
                return health
            found = later
    except ZstorError as error:
        state: State = "lost" if isinstance(error, DamagedError) else "unknown"
        return Health(key.decode("utf-8", "replace"), state, 0, 0, 0, 0, {}, [error.message])
    return None


def scrub_all(vault: Vault, inspector: Inspector) -> Iterator[Health]:
    """Look at all files."""
    for key in vault.file_keys():
        if health := scrub_key(inspector, key):
            yield health
