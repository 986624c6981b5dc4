"""Which release the node's channel holds, verified from the root that the node's image carries.

While a node runs, the versions that it has seen are in /run, so that nobody can show it an older
state. After a restart only expiry limits how old a state it may be shown: two weeks, as the
timestamp is signed for no longer. A clock that is slow would lengthen that, so it counts from the
date of the image at least.

A node with a cache on a disk keeps the files there that it has verified. If the server does not
answer, they are verified in its place, and no less: they are refused if they are older than what
the node has seen since it started.
"""

import base64
import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import urllib3

from common.errors import ZosError
from common.files import write_atomic
from common.releases.channel import (
    HISTORY,
    HISTORY_MAX_BYTES,
    Channel,
    digest_of,
    open_history,
    open_manifest,
    read_channel,
)
from common.releases.manifest import MAX_BYTES, NAME, Manifest
from common.tuf.client import Fetch
from common.tuf.metadata import FileInfo
from common.tuf.trust import Trusted
from node.flists.cache import DiskCache
from node.http import CONNECT_S, READ_S, describe, open_pool, read_body
from node.log import log
from node.model import NodeError

T = TypeVar("T")

ROOT = Path("/etc/zero-os/keys/root.json")
OS_RELEASE = Path("/etc/os-release")
STATE = Path("/run/zero-os/channel.json")
SERVER = "the bootstrap server"
AWAY = ("ZB21", "ZB23", "ZB25")  # it does not answer, or nothing that helps
DEADLINE_S = 60.0  # for one file of metadata
LARGE_S = 120.0  # for a kernel, or an initramfs


def check_channel(
    url: str,
    name: str,
    *,
    root: Path = ROOT,
    state: Path = STATE,
    image: Path = OS_RELEASE,
    proxy: str = "",
    cache: DiskCache | None = None,
) -> tuple[Channel, Manifest | None]:
    """Return the channel `name` of the bootstrap server at `url`, and its release's manifest.

    What it was verified with is kept in `state`. Raises `ZosError`; nothing has changed then.
    """

    def verify(begin: Callable[[], Trusted], fetch: Fetch) -> tuple[Channel, Manifest | None]:
        channel = read_channel(begin(), name, partial(fetch_metadata, fetch), read_clock(image))
        return channel, fetch_manifest(fetch, channel)

    channel, manifest = read_files(
        reading(url, name, proxy),
        partial(verify, partial(read_state, root, state)),
        Kept(cache, f"channel-{name}", partial(verify, lambda: Trusted(root.read_bytes()))),
    )
    state.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(state, channel.trusted.to_json(), mode=0o600)
    return channel, manifest


def fetch_held(
    url: str, channel: Channel, proxy: str = "", cache: DiskCache | None = None
) -> frozenset[str]:
    """Return the releases that the channel has held, as its keys have signed it."""

    def verify(fetch: Fetch) -> tuple[Channel, frozenset[str]]:
        data = fetch_target(fetch, channel, HISTORY, channel.history, HISTORY_MAX_BYTES)
        return channel, open_history(channel, data)

    kept = Kept(cache, f"history-{channel.name}", verify)
    return read_files(reading(url, channel.name, proxy), verify, kept)[1]


class Kept(Generic[T]):
    """Files of a channel on the cache's disk, if there is one. `verify` is what a node does with
    them that has just started, so what it reads is what is kept."""

    def __init__(
        self, cache: DiskCache | None, name: str, verify: Callable[[Fetch], tuple[Channel, T]]
    ) -> None:
        self.cache = cache
        self.name = name
        self.verify = verify

    def read(self) -> dict[str, bytes]:
        """Return the files; they may be anything."""
        value = self.cache.read(self.name) if self.cache else {}
        try:
            return {path: base64.b64decode(str(text)) for path, text in value.items()}
        except ValueError:
            return {}

    def update(self, seen: Mapping[str, bytes]) -> None:
        """Keep what the next start needs of the old files and those that were seen now."""
        if self.cache is None:
            return
        kept, used = self.read(), dict[str, bytes]()
        try:
            self.verify(partial(pick, {**kept, **seen}, used))
        except ZosError:
            return
        if used != kept:
            packed = {path: base64.b64encode(data).decode() for path, data in used.items()}
            self.cache.write(self.name, packed)

    def use(
        self, why: NodeError, verify: Callable[[Fetch], tuple[Channel, T]]
    ) -> tuple[Channel, T]:
        """Return what `verify` makes of the files in place of the server's, which can't be had:
        `why`."""
        files = self.read()
        if not files or why.code not in AWAY:
            raise why
        try:
            found = verify(partial(pick, files, {}))
        except ZosError as error:
            hint = f"what the cache on the disk has does not help: {error}"
            raise NodeError(str(why), hint=hint, code=why.code) from error
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(found[0].expires))
        log("bringup", f"{why}; it is taken from the cache, channel valid until {until}")
        return found


def pick(files: Mapping[str, bytes], used: dict[str, bytes], path: str, limit: int) -> bytes | None:
    """Return one of `files`, and add it to `used`."""
    data = files.get(path, b"")
    if not 0 < len(data) <= limit:
        return None
    used[path] = data
    return data


class Fetcher:
    """Fetches files of channels from a bootstrap server; `seen` are those that it has."""

    def __init__(self, pool: urllib3.PoolManager, url: str) -> None:
        self.pool = pool
        self.top = f"{url}/channel"
        self.seen: dict[str, bytes] = {}

    def fetch(self, path: str, limit: int) -> bytes | None:
        """Return a small file, or None if the server does not have it."""
        url, began = f"{self.top}/{path}", time.monotonic()
        response = self.pool.request("GET", url, preload_content=False)
        try:
            if response.status == 404:
                return None
            if response.status != 200:
                raise NodeError(
                    f"cannot fetch {url}: the server answered {response.status}", code="ZB25"
                )
            self.seen[path] = b"".join(read_body(response, url, limit, began, DEADLINE_S))
            return self.seen[path]
        finally:
            response.close()

    def save(self, channel: Channel, name: str, stream: BinaryIO) -> None:
        """Write a file of the channel's release to `stream`. Raises `NodeError` unless it is the
        one that was signed."""
        if (file := channel.files.get(name)) is None:
            raise NodeError(f"cannot fetch {name}: the release {channel.release} has none")
        url, began = f"{self.top}/targets/{channel.name}/{file.sha256}.{name}", time.monotonic()
        response = self.pool.request("GET", url, preload_content=False)
        try:
            if response.status != 200:
                raise NodeError(f"cannot fetch {url}: the server answered {response.status}")
            digest = hashlib.sha256()
            for chunk in read_body(response, url, file.size, began, LARGE_S):
                digest.update(chunk)
                stream.write(chunk)
        finally:
            response.close()
        if digest.hexdigest() != file.sha256:
            raise NodeError(f"cannot use {url}: it is not what the channel's keys have signed")


def read_files(
    server: contextlib.AbstractContextManager[Fetcher],
    verify: Callable[[Fetch], tuple[Channel, T]],
    kept: Kept[T],
) -> tuple[Channel, T]:
    """Return what `verify` makes of the server's files, or of those that were kept if it does not
    answer."""
    try:
        with server as fetcher:
            found = verify(fetcher.fetch)
    except NodeError as error:
        return kept.use(error, verify)
    kept.update(fetcher.seen)
    return found


@contextlib.contextmanager
def reading(url: str, name: str, proxy: str) -> Iterator[Fetcher]:
    """Open connections for a `with` block; a fault of the network becomes a `NodeError`."""
    pool = open_pool(proxy, CONNECT_S, READ_S)
    try:
        yield Fetcher(pool, url)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        reason = describe(error, SERVER)
        code = "ZB23" if isinstance(error, urllib3.exceptions.SSLError) else "ZB21"
        raise NodeError(f"cannot read the channel {name} of {url}: {reason}", code=code) from error
    finally:
        pool.clear()


def read_state(root: Path, state: Path) -> Trusted:
    """Return what was verified last since the node started, or the root of its image."""
    try:
        return Trusted.from_json(state.read_bytes())
    except FileNotFoundError:
        return Trusted(root.read_bytes())


def read_clock(image: Path) -> float:
    """Return the time, but none before the image was made."""
    return max(time.time(), image.stat().st_mtime)


def fetch_metadata(fetch: Fetch, name: str, limit: int) -> bytes | None:
    """Return a file of metadata, None if the server does not have it."""
    return fetch(f"metadata/{name}", limit)


def fetch_manifest(fetch: Fetch, channel: Channel) -> Manifest | None:
    """Return the manifest of the channel's release, verified; None if it holds none."""
    if channel.manifest is None:
        return None
    data = fetch_target(fetch, channel, NAME, channel.manifest, MAX_BYTES)
    return open_manifest(channel, data)


def fetch_target(fetch: Fetch, channel: Channel, name: str, info: FileInfo, limit: int) -> bytes:
    """Return a file that the channel names; its reader compares the digest."""
    place = f"targets/{channel.name}/{digest_of(info)}.{name}"
    data = fetch(place, min(info.length or 0, limit))
    if data is None:
        raise NodeError(f"cannot fetch {place}: {SERVER} does not have it", code="ZB24")
    return data
