"""Which release the node's channel holds, verified from the root that the node's image carries.

A node keeps nothing over a restart. While it runs, the versions that it has seen are in /run, so
that nobody can show it an older state. After a restart only expiry limits how old a state it may be
shown: two weeks, as the timestamp is signed for no longer. A clock that is slow would lengthen
that, so it counts from the date of the image at least.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import urllib3

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
from node.http import CONNECT_S, READ_S, describe, open_pool, read_body
from node.model import NodeError

ROOT = Path("/etc/zero-os/keys/root.json")
OS_RELEASE = Path("/etc/os-release")
STATE = Path("/run/zero-os/channel.json")
SERVER = "the bootstrap server"
DEADLINE_S = 60.0  # for one file of metadata


def check_channel(
    url: str,
    name: str,
    *,
    root: Path = ROOT,
    state: Path = STATE,
    image: Path = OS_RELEASE,
    proxy: str = "",
) -> tuple[Channel, Manifest | None]:
    """Return the channel `name` of the bootstrap server at `url`, and its release's manifest.

    What it was verified with is kept in `state`. Raises `ZosError`; nothing has changed then.
    """
    with reading(url, name, proxy) as pool:
        trusted = read_state(root, state)
        now = read_clock(image)
        channel = read_channel(trusted, name, fetch_metadata(pool, url), now)
        manifest = fetch_manifest(pool, url, channel)
    state.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(state, channel.trusted.to_json(), mode=0o600)
    return channel, manifest


def fetch_held(url: str, channel: Channel, proxy: str = "") -> frozenset[str]:
    """Return the releases that the channel has held, as its keys have signed it."""
    with reading(url, channel.name, proxy) as pool:
        data = fetch_target(pool, url, channel, HISTORY, channel.history, HISTORY_MAX_BYTES)
        return open_history(channel, data)


@contextlib.contextmanager
def reading(url: str, name: str, proxy: str) -> Iterator[urllib3.PoolManager]:
    """Open connections for a `with` block; a fault of the network becomes a `NodeError`."""
    pool = open_pool(proxy, CONNECT_S, READ_S)
    try:
        yield pool
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


def fetch_metadata(pool: urllib3.PoolManager, url: str) -> Fetch:
    """Return a function that fetches metadata from a bootstrap server."""

    def fetch(name: str, limit: int) -> bytes | None:
        return fetch_file(pool, f"{url}/channel/metadata/{name}", limit)

    return fetch


def fetch_manifest(pool: urllib3.PoolManager, url: str, channel: Channel) -> Manifest | None:
    """Return the manifest of the channel's release, verified; None if it holds none."""
    if channel.manifest is None:
        return None
    data = fetch_target(pool, url, channel, NAME, channel.manifest, MAX_BYTES)
    return open_manifest(channel, data)


def fetch_target(
    pool: urllib3.PoolManager, url: str, channel: Channel, name: str, info: FileInfo, limit: int
) -> bytes:
    """Return a file that the channel names; its reader compares the digest."""
    place = f"{url}/channel/targets/{channel.name}/{digest_of(info)}.{name}"
    data = fetch_file(pool, place, min(info.length or 0, limit))
    if data is None:
        raise NodeError(f"cannot fetch {place}: the server does not have it", code="ZB24")
    return data


def fetch_file(pool: urllib3.PoolManager, url: str, limit: int) -> bytes | None:
    """Return a small file, or None if the server does not have it."""
    began = time.monotonic()
    response = pool.request("GET", url, preload_content=False)
    try:
        if response.status == 404:
            return None
        if response.status != 200:
            raise NodeError(
                f"cannot fetch {url}: the server answered {response.status}", code="ZB25"
            )
        return b"".join(read_body(response, url, limit, began, DEADLINE_S))
    finally:
        response.close()
