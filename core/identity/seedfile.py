"""The seed on a disk, in the forms of upstream's seed file.

The version stands first, as a text in JSON; the rest belongs to it:

- `"1.0.0"`: the 32 bytes of the seed. This is what is written.
- `"1.1.0"`: an object in JSON; its `mnemonic` are the 24 words (BIP 39) of the seed.
- no version: the 32 bytes alone, as nodes wrote them at first.

A file is made once and never changed: one that can't be read is an error that names it.
"""

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path

from common.files import read_regular, write_atomic
from core.identity.model import SEED_BYTES, IdentityError

MODE = 0o400
FILE_MAX_BYTES = 4096
_VERSION = re.compile(rb'[ \t\r\n]*"([0-9]+\.[0-9]+\.[0-9]+)"')


def read_seed(path: Path) -> bytes | None:
    """Return the seed in a file; None if there is no such file. Raises `IdentityError`."""
    try:
        data = read_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise damaged(path, error.strerror or str(error)) from error
    try:
        return decode_seed(data)
    except IdentityError as error:
        raise damaged(path, error.message) from error


def damaged(path: Path, reason: str) -> IdentityError:
    """Return the error for a seed file that can't be used."""
    return IdentityError(
        f"cannot use the seed in {path}: {reason}",
        hint="restore the file, or move it away: then the node gets a new identity",
    )


def write_seed(path: Path, seed: bytes) -> None:
    """Write a new file; an existing one is never replaced. Raises `IdentityError`."""
    try:
        if path.is_symlink() or path.exists():
            raise FileExistsError(errno.EEXIST, "it is there already", str(path))
        write_atomic(path, encode_seed(seed), MODE)
    except OSError as error:
        raise IdentityError(f"cannot write the seed to {path}: {error.strerror}") from error


def encode_seed(seed: bytes) -> bytes:
    """Return the content of a file."""
    return b'"1.0.0"' + seed


def decode_seed(data: bytes) -> bytes:
    """Return the seed in a file's content. Raises `IdentityError`."""
    if len(data) > FILE_MAX_BYTES:
        raise IdentityError("it is too large")
    found = _VERSION.match(data)
    version = found[1].decode() if found else ""
    reader = READERS.get(version)
    if reader is None:
        raise IdentityError(f"its version {version} is unknown")
    seed = reader(data[found.end() :] if found else data)
    if len(seed) != SEED_BYTES:
        raise IdentityError(f"it has {len(seed)} bytes in place of {SEED_BYTES}")
    return seed


def decode_mnemonic(data: bytes) -> bytes:
    """Return the seed that words stand for."""
    from mnemonic import Mnemonic  # rarely needed

    try:
        words = json.loads(data)["mnemonic"]
        return bytes(Mnemonic("english").to_entropy(str(words)))
    except (ValueError, KeyError, TypeError, LookupError, RecursionError):
        raise IdentityError("it has no words of a seed (BIP 39)") from None


READERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "1.0.0": bytes,
    "1.1.0": decode_mnemonic,
}
