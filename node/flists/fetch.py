"""Fetches a flist from a hub; it is verified before anything reads it.

What says that it is the right one is either its digest, which the channel's keys have signed, or
the signature beside it on the hub.
"""

import contextlib
import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import urllib3

from common.files import open_atomic
from flist.errors import SignatureError
from flist.format.signing.trust import verify_flist
from node.flists.cache import DiskCache
from node.flists.model import Flist, Wanted
from node.http import CONNECT_S, READ_S, describe, open_pool, read_body
from node.model import NodeError

MAX_SIGNATURE_BYTES = 4096
FETCH_DEADLINE_S = 900.0
MISSING = 404
DIGEST = re.compile("[0-9a-f]{64}")
UNREACHED, REFUSED = "ZB42", "ZB43"


@dataclass(frozen=True)
class Fetched:
    """How a flist came here: its size in bytes, from which hub, and its signature if it has one.

    `hub` is empty if it came from the cache on a disk.
    """

    size: int
    hub: str = ""
    signature: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        return f"{f'fetched from {self.hub}' if self.hub else 'from the cache'} ({self.size} bytes)"


class MissingError(NodeError):
    """A hub does not have the flist."""


class Hub:
    """A hub's address and the connections to it."""

    def __init__(self, url: str, proxy: str = "") -> None:
        self.url = url
        self.pool = open_pool(proxy, CONNECT_S, READ_S)

    def fetch(self, path: str, limit_bytes: int) -> Iterator[bytes]:
        """Yield the body at `path`; raise `NodeError` for one that is too large or too slow."""
        url = f"{self.url}/{path}"
        began = time.monotonic()
        response = self.pool.request("GET", url, preload_content=False)
        try:
            if response.status != 200:
                kind = MissingError if response.status == MISSING else NodeError
                raise kind(
                    f"cannot fetch {url}: the hub answered {response.status}", code=UNREACHED
                )
            yield from read_body(response, url, limit_bytes, began, FETCH_DEADLINE_S)
        finally:
            response.close()

    def fetch_text(self, path: str, limit_bytes: int) -> str:
        """Return the short text at `path`."""
        data = b"".join(self.fetch(path, limit_bytes))
        try:
            return data.decode("ascii")
        except UnicodeDecodeError as error:
            raise NodeError(f"cannot use {self.url}/{path}: not a text") from error


@dataclass(frozen=True)
class Signed:
    """How flists are verified that one of `keys` must have signed, and where kept ones are."""

    keys: list[bytes]
    limit_bytes: int
    cache: DiskCache | None = None

    def save(self, hub: Hub, name: str, target: Path) -> Fetched:
        """Save the hub's flist: if the signature is still that of the kept one, without a fetch."""
        signature = hub.fetch_text(f"{name}.fl.sig", MAX_SIGNATURE_BYTES)
        if self.take(name, signature, target):
            return Fetched(target.stat().st_size, "", signature)
        with open_atomic(target, mode=0o600) as stream:
            for chunk in hub.fetch(f"{name}.fl", self.limit_bytes):
                stream.write(chunk)
            stream.flush()
            check_signature(Path(stream.name), signature, name, self.keys)
            return Fetched(stream.tell(), hub.url, signature)

    def take_last(self, name: str, target: Path) -> bool:
        """Save the flist of this name that was kept last, with the signature that it had then."""
        kept = self.cache.read(key_of(name)) if self.cache else {}
        return self.take(name, str(kept.get("signature", "")), target)

    def take(self, name: str, signature: str, target: Path) -> bool:
        """Save the flist of this name that was kept last if the signature is good for it."""
        digest = str((self.cache.read(key_of(name)) if self.cache else {}).get("sha256", ""))
        if not self.cache or not DIGEST.fullmatch(digest):
            return False
        if not self.cache.take_flist(digest, self.limit_bytes, target):
            return False
        try:
            check_signature(target, signature, name, self.keys)
        except NodeError:
            return False
        return True


def key_of(name: str) -> str:
    """Return under which name the cache keeps the signature of a flist."""
    return hashlib.sha256(name.encode()).hexdigest()


def fetch_flist(
    hub_url: str, wanted: Wanted, target: Path, signed: Signed, proxy: str = ""
) -> Fetched:
    """Save the hub's flist as `target` if it is the one that is wanted.

    A flist larger than the limit is refused. On `NodeError`, `target` is not that flist.
    """
    hub = Hub(hub_url, proxy)
    try:
        if wanted.sha256:
            return save_by_digest(hub, wanted, target, signed.limit_bytes)
        return signed.save(hub, wanted.name, target)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NodeError(
            f"cannot fetch {hub_url}/{wanted.name}.fl: {describe(error)}", code=UNREACHED
        ) from error
    finally:
        hub.pool.clear()


def fetch_signatures(hub_url: str, flists: Sequence[Wanted], proxy: str = "") -> dict[str, str]:
    """Return the signatures that a hub has, by flist. Raises `NodeError`."""
    hub, found = Hub(hub_url, proxy), dict[str, str]()
    try:
        for wanted in flists:
            with contextlib.suppress(MissingError):
                found[wanted.name] = hub.fetch_text(f"{wanted.name}.fl.sig", MAX_SIGNATURE_BYTES)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NodeError(f"cannot ask {hub_url}: {describe(error)}", code=UNREACHED) from error
    finally:
        hub.pool.clear()
    return found


def save_by_digest(hub: Hub, wanted: Wanted, target: Path, limit_bytes: int) -> Fetched:
    """Save the flist with the wanted digest: that version of it, or else the newest one."""
    if wanted.size > limit_bytes:
        raise NodeError(f"cannot use flist {wanted.name}: it is larger than {limit_bytes} bytes")
    path = f"{wanted.name}.fl"
    try:
        return save_exactly(hub, f"{path}?version={wanted.sha256}", wanted, target)
    except NodeError:
        return save_exactly(hub, path, wanted, target)


def save_exactly(hub: Hub, path: str, wanted: Wanted, target: Path) -> Fetched:
    """Save what is at `path` if it has the wanted digest."""
    digest = hashlib.sha256()
    with open_atomic(target, mode=0o600) as stream:
        for chunk in hub.fetch(path, wanted.size):
            digest.update(chunk)
            stream.write(chunk)
        if digest.hexdigest() != wanted.sha256:
            raise NodeError(
                f"flist {wanted.name} refused: it is not the one that the channel has signed",
                code=REFUSED,
            )
        return Fetched(stream.tell(), hub.url)


def check_signature(path: Path, signature: str, name: str, keys: list[bytes]) -> None:
    """Raise `NodeError` unless one of `keys` signed the file at `path` as flist `name`."""
    try:
        verify_flist(path, signature, name, keys)
    except SignatureError as error:
        raise NodeError(f"flist {name} refused: {error}", code=REFUSED) from error


def fetch_from_any(
    hubs: Sequence[str],
    wanted: Wanted,
    target: Path,
    signed: Signed,
    proxy: str,
    tell: Callable[[str], None],
) -> Fetched:
    """Do what `fetch_flist` does, from the first hub that can.

    If none can, the error is the first one, but one about a signature goes before others; for an
    optional flist it is then one that says that a hub does not have it.
    """
    errors: list[NodeError] = []
    for hub in hubs:
        try:
            return fetch_flist(hub, wanted, target, signed, proxy)
        except NodeError as error:
            errors.append(error)
            if len(hubs) > 1:
                tell(f"{hub}: {error}")
    if refusal := next((error for error in errors if error.code == REFUSED), None):
        raise refusal
    missing = (error for error in errors if wanted.is_optional and isinstance(error, MissingError))
    raise next(missing, errors[0])


def take(incoming: Path, wanted: Wanted) -> Flist:
    """Move a verified file from the folder of all flists to its own; return the flist."""
    with open(incoming, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    size = incoming.stat().st_size
    flist = Flist(wanted.role, wanted.name, digest, wanted.version, incoming.parent, size)
    flist.top.mkdir(parents=True, exist_ok=True)
    incoming.replace(flist.meta)
    return flist
